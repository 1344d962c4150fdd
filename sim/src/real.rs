//! `paceline-real`, run as `cargo real`: see `paceline_sim::explore::real`.

/// As for the simulator: see there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(not(madsim))]
fn main() -> std::process::ExitCode {
    paceline_sim::explore::real::main()
}

#[cfg(madsim)]
fn main() -> std::process::ExitCode {
    paceline_runtime::output::complain(format_args!(
        "this program was built for the simulated world and has no other; run `cargo real`"
    ));
    paceline_sim::explore::Exit::BadInput.into()
}
