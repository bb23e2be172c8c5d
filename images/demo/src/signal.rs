//! SIGTERM and SIGINT without a handler: blocked in every thread, fetched by one.

use std::io;
use std::mem::MaybeUninit;

// JUSTIFICATION: the standard library has no signals, and a signal crate would be the largest part of this program.

/// Blocks both signals in this thread and those it will start.
pub(crate) fn block() -> io::Result<()> {
    let set = both();
    // SAFETY: `set` is initialised, and a null old set is allowed.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}

/// Waits for one of the two and names it. They must be blocked.
pub(crate) fn wait() -> io::Result<&'static str> {
    let set = both();
    let mut signal = 0;
    // SAFETY: both pointers are to values that live across the call.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    match failed {
        0 if signal == libc::SIGTERM => Ok("SIGTERM"),
        0 => Ok("SIGINT"),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Lets either signal end the program with success from now on.
pub(crate) fn exit_when_told() -> io::Result<()> {
    block()?;
    std::thread::spawn(|| {
        let _ = wait();
        std::process::exit(0);
    });
    Ok(())
}

fn both() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set that the other two then change; the signal numbers are valid.
    #[allow(unsafe_code)]
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        set.assume_init()
    }
}
