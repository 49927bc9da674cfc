//! ipvsadm's own grammar over lvsd's control socket: a thin front of the library.

use std::{env, io, process::ExitCode};

use lvsd::{
    adm::{self, Names},
    control::{Client, DEFAULT_SOCKET, SOCKET_VARIABLE},
};

fn main() -> ExitCode {
    let args: Vec<String> = env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let variable = env::var(SOCKET_VARIABLE).ok().filter(|path| !path.is_empty());
    let socket = adm::socket(&args).or(variable.as_deref()).unwrap_or(DEFAULT_SOCKET);
    let mut client = Client::new(socket);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let status = adm::run(
        &args,
        Names::System,
        &mut io::stdin().lock(),
        &mut client,
        &mut out,
        &mut io::stderr().lock(),
    );
    ExitCode::from(status)
}
