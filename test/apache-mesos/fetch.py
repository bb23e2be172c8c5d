#!/usr/bin/env python3
"""fetch.py DIR SHA256: gets the native library of mesos.scheduler 1.11.0 from the Python package index
with setuptools' package index client (pip has no support for eggs)."""
import hashlib, os, sys, warnings, zipfile
warnings.simplefilter('ignore')
from pkg_resources import Requirement
from setuptools.package_index import PackageIndex
d = sys.argv[1]
SHA = sys.argv[2]
os.makedirs(d, exist_ok=True)
pi = PackageIndex(platform='linux-x86_64', python='2.7')
got = pi.fetch_distribution(Requirement.parse('mesos.scheduler==1.11.0'), d)
z = zipfile.ZipFile(got.location)
out = os.path.join(d, '_scheduler.so')
with open(out, 'wb') as f:
    f.write(z.read('mesos/scheduler/_scheduler.so'))
os.chmod(out, 0o755)
assert hashlib.sha256(open(out, 'rb').read()).hexdigest() == SHA, 'unexpected contents'
print(out)
