//! The first process of every pod: holds the sandbox's namespaces, reaps orphans, ends when told.
//!
//! Compiled by crates/io/cri/build.rs with `rustc` alone: no standard library and no C library, three system calls.
//! Signals are blocked and fetched one by one, so there is no handler; a blocked signal reaches process 1 of a pid
//! namespace too, although its default action would be ignored there.

#![no_std]
#![no_main]

// JUSTIFICATION: a program without a C library has no way to the kernel but the system call instruction, and no way
// to begin but a symbol that the linker knows. There is nothing here besides.

use core::arch::{asm, naked_asm};

const SIGINT: usize = 2;
const SIGTERM: usize = 15;
const SIGCHLD: usize = 17;
const SIG_BLOCK: usize = 0;
const WNOHANG: usize = 1;
/// Every child, whatever its process group.
const ANY_CHILD: usize = usize::MAX;
/// Size of the kernel's `sigset_t` in bytes.
const SIGSET_BYTES: usize = 8;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const RT_SIGPROCMASK: usize = 14;
    pub const EXIT_GROUP: usize = 231;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const WAIT4: usize = 61;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const RT_SIGPROCMASK: usize = 135;
    pub const EXIT_GROUP: usize = 94;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const WAIT4: usize = 260;
}

/// Makes a system call with four arguments; a negative result is an error number.
fn syscall(number: usize, first: usize, second: usize, third: usize, fourth: usize) -> isize {
    let result: isize;
    // SAFETY: the registers follow the kernel's calling convention, the clobbered ones are declared. Callers pass
    // addresses of values that live across the call, or null where the kernel allows it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") first, in("rsi") second, in("rdx") third,
            in("r10") fourth, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") first as isize => result, in("x1") second, in("x2") third,
            in("x3") fourth, options(nostack));
    }
    result
}

fn exit(code: usize) -> ! {
    loop {
        syscall(number::EXIT_GROUP, code, 0, 0, 0);
    }
}

extern "C" fn run() -> ! {
    let signals: u64 = 1 << (SIGINT - 1) | 1 << (SIGTERM - 1) | 1 << (SIGCHLD - 1);
    let set = &raw const signals as usize;
    if syscall(number::RT_SIGPROCMASK, SIG_BLOCK, set, 0, SIGSET_BYTES) != 0 {
        exit(1);
    }
    loop {
        let signal = syscall(number::RT_SIGTIMEDWAIT, set, 0, 0, SIGSET_BYTES);
        if signal == SIGINT as isize || signal == SIGTERM as isize {
            exit(0);
        }
        while syscall(number::WAIT4, ANY_CHILD, 0, WNOHANG, 0) > 0 {}
    }
}

// SAFETY: `_start` is the entry symbol of the platform; nothing else defines it.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {run}", "ud2", run = sym run);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x29, #0", "bl {run}", "brk #1", run = sym run);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(1)
}
