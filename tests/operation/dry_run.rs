//! "`--dry-run`: nothing is removed, what would be is counted and logged once a name."

use super::support::Origin;
use super::{GET, LEAKY, ask, exchange, with_admin};

#[test]
fn a_dry_run_removes_nothing_and_tells_what_it_would_once_a_name() {
    let origin = Origin::new();
    let flags = [
        "--dry-run",
        "--deny",
        "x-amz-*",
        "--deny-request",
        "x-forwarded-*,server",
        "--drain-delay",
        "0s",
        "--workers",
        "2",
    ];
    let (proxy, admin) = with_admin(&origin, &flags);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Amz-Id: \u{e9}\r\nX-AMZ-2: \"a\\\r\n\r\n\
                   2\r\nok\r\n0\r\nServer: trailer\r\n\r\n";
    for _ in 0..5 {
        assert_eq!(exchange(&proxy, &origin, GET, LEAKY), LEAKY);
        assert_eq!(exchange(&proxy, &origin, GET, chunked), chunked);
    }
    let asked = GET.replace("\r\n\r\n", "\r\nX_Forwarded_For: 6.6.6.6\r\nServer: a\r\n\r\n");
    assert_eq!(exchange(&proxy, &origin, &asked, LEAKY), LEAKY);
    // What an HTTP/1.0 client is not sent has nothing to do with the denylist.
    let interim = format!("HTTP/1.1 100 Continue\r\nServer: a\r\n\r\n{LEAKY}");
    let said = LEAKY.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    assert_eq!(exchange(&proxy, &origin, "GET / HTTP/1.0\r\n\r\n", &interim), said);
    let metrics = ask(&admin, "GET", "/metrics").1;
    for sample in ["{name=\"server\"} 12\n", "{name=\"x-amz-*\"} 10\n", "{name=\"x-powered-by\"} 0\n"] {
        assert!(metrics.contains(&format!("headsnip_field_lines_removed_total{sample}")), "{sample} in\n{metrics}");
    }
    for sample in ["{name=\"server\"} 1\n", "{name=\"x-forwarded-*\"} 1\n"] {
        assert!(
            metrics.contains(&format!("headsnip_request_field_lines_removed_total{sample}")),
            "{sample} in\n{metrics}"
        );
    }
    assert!(proxy.log()[0].contains("a dry run, looking for server, x-powered-by, x-amz-*"), "{:?}", proxy.log());
    proxy.signal("TERM");
    let (_, log) = proxy.wait(super::support::LIMIT);
    let told: Vec<&String> = log.iter().filter(|line| line.contains("dry run: ")).collect();
    assert_eq!(told.len(), 5, "{log:#?}");
    assert_eq!(told[0], "headsnip: dry run: would remove \"Server: uvicorn\", denied by server");
    assert!(told[1].starts_with("headsnip: dry run: would remove \"X-Amz-Id: \\x"), "{}", told[1]);
    assert_eq!(told[2], "headsnip: dry run: would remove \"X-AMZ-2: \\\"a\\\\\", denied by x-amz-*");
    let of_requests =
        "headsnip: dry run: would remove \"X_Forwarded_For: 6.6.6.6\" from requests, denied by x-forwarded-*";
    assert_eq!(told[3], of_requests);
    assert_eq!(told[4], "headsnip: dry run: would remove \"Server: a\" from requests, denied by server");
}
