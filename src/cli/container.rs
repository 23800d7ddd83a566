//! The arguments of a container's first process, if that is headsnip: a health check runs beside it and has its variables, but not its
//! arguments.

use std::fs;

use super::NAME;

/// The address of its admin listener, if an argument says it.
pub(super) fn admin() -> Option<String> {
    admin_of(&fs::read("/proc/1/cmdline").ok()?)
}

/// The same, from a command line in the kernel's form. The process itself has checked that it is valid.
fn admin_of(line: &[u8]) -> Option<String> {
    let mut arguments = std::str::from_utf8(line).ok()?.split_terminator('\0');
    arguments.next().filter(|program| program.rsplit('/').next() == Some(NAME))?;
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--admin") {
            Some("") => return arguments.next().map(str::to_owned),
            Some(rest) => return rest.strip_prefix('=').map(str::to_owned),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_headsnip_the_argument_is_known() {
        for (line, admin) in [
            ("/headsnip\0--admin\x00127.0.0.1:1\0", Some("127.0.0.1:1")),
            ("headsnip\0--deny\0via\0--admin=unix:/run/admin\0--access-log\0", Some("unix:/run/admin")),
            ("/usr/bin/headsnip\0--listen\x000.0.0.0:80\0", None),
            ("/headsnip\0", None),
            ("/sbin/docker-init\0--\0/headsnip\0--admin\x00127.0.0.1:1\0", None),
            ("/headsnip\0--admin\0", None),
            ("", None),
        ] {
            assert_eq!(admin_of(line.as_bytes()).as_deref(), admin, "{line:?}");
        }
        assert_eq!(admin_of(b"/headsnip\0--admin\0\xff\0"), None);
    }
}
