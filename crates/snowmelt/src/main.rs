//! The `snowmelt` binary: parse, start the log and the runtime, run the verb, exit with its code.

use std::process::ExitCode;

use snowmelt::cli::Cli;

/// Bytes of stack a worker has: the simulator plans SQL recursively, which in a debug build wants more than the default.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code.into(),
    };
    cli.start_log();
    match tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build() {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // A verb that is done is done: nothing it left behind may keep the process.
            runtime.shutdown_background();
            code.into()
        }
        Err(error) => {
            tracing::error!(%error, "the runtime cannot start");
            snowmelt::error::ExitCode::Bug.into()
        }
    }
}
