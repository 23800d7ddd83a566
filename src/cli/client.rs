//! Flags about the client's identity: whose preambles are accepted, which one is sent, and which request fields the access log has.

use super::UsageError;
use super::value::{Value, blame};
use crate::http1::LogFields;
use crate::net::networks::{Network, Networks};
use crate::ops::log::exchange::NAMES;

pub(super) fn networks(values: &[Value]) -> Result<Option<Networks>, UsageError> {
    let networks = values.iter().map(Value::parse::<Network>).collect::<Result<_, _>>()?;
    Ok(Networks::new(networks))
}

pub(super) fn log_fields(values: &[Value]) -> Result<LogFields, UsageError> {
    let is_own = |value: &&Value| value.text == "time" || NAMES.contains(&&*value.text.to_ascii_lowercase());
    if let Some(own) = values.iter().find(is_own) {
        return Err(own.complain("each line of the access log has a field of that name already"));
    }
    let fields = LogFields::new(values.iter().map(|value| &*value.text));
    fields.map_err(|error| blame(values.iter(), "--log-fields", &error))
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};

    fn complaint(arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let complaint = parse(&arguments, |_| None).err().map(|error| error.to_string()).unwrap_or_default();
        complaint.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        let example = "for example 10.0.0.0/8, 192.0.2.7, fd00::/8, unix or any";
        for (flag, value, told) in [
            ("--accept-proxy", "10.0.0.0/8,all", &*format!("--accept-proxy \"all\": not a network; {example}")),
            ("--accept-proxy", "", &format!("--accept-proxy \"\": not a network; {example}")),
            (
                "--accept-proxy",
                "10.0.0.1/8",
                &format!("--accept-proxy \"10.0.0.1/8\": the address has bits set beyond the prefix; {example}"),
            ),
            ("--send-proxy", "2", "--send-proxy \"2\": expected v1 or v2"),
            (
                "--log-fields",
                "host,a b",
                "--log-fields: \"a b\" is not a field name; for example x-forwarded-for, x-request-id",
            ),
            (
                "--log-fields",
                "x-a,Status",
                "--log-fields \"Status\": each line of the access log has a field of that name already",
            ),
            ("--log-fields", "1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h", "--log-fields: more than 16 names"),
        ] {
            assert_eq!(complaint(&[flag, value]), *told);
        }
    }

    #[test]
    fn what_is_said_is_what_is_done() {
        let arguments = [
            "--accept-proxy",
            "10.0.0.0/8, unix",
            "--accept-proxy",
            "::1",
            "--send-proxy",
            "v2",
            "--log-fields",
            "Host,x-a",
        ];
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let Ok(Command::Run(config, _)) = parse(&arguments, |_| None) else { unreachable!("it is served") };
        assert_eq!(
            config.accept_proxy.map(|networks| networks.to_string()).as_deref(),
            Some("10.0.0.0/8,unix,::1/128")
        );
        assert_eq!(config.send_proxy, Some(crate::net::preamble::PreambleVersion::V2));
        assert!(config.log_fields.names().eq(["host", "x-a"]));
    }
}
