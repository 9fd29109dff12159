//! What the clients of this world ask for, and what they get.
//!
//! **Invariants.** Headers are written as the clients send them.

use super::*;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
const OLD_OPEN_METRICS: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";

fn answer(headers: &[&str]) -> &'static str {
    let mut request = HeaderMap::new();
    for header in headers {
        request.append(ACCEPT, header.parse().unwrap());
    }
    negotiate(&request).content_type()
}

#[test]
fn every_client_gets_what_it_likes_best() {
    for (client, accept, expect) in [
        (
            "Prometheus 2.4",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            TEXT,
        ),
        (
            "Prometheus 2.30",
            "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OLD_OPEN_METRICS,
        ),
        (
            "Prometheus 2.42, Grafana Agent",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPEN_METRICS,
        ),
        (
            "Prometheus 2.42 with native histograms",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            PROTOBUF,
        ),
        (
            "Prometheus 2.55, OpenTelemetry collector",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPEN_METRICS,
        ),
        (
            "Prometheus 3, Grafana Alloy",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            "Prometheus 3 with escaping: underscores",
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=underscores;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            "Prometheus 3 with protobuf first",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;\
             escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8",
        ),
        (
            "Prometheus 3 with scrape_protocols: [PrometheusText1.0.0]",
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5",
            TEXT,
        ),
        (
            "VictoriaMetrics, vmagent, netdata",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            TEXT,
        ),
        ("curl, wget, reqwest", "*/*", TEXT),
        (
            "Java's HttpURLConnection",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            TEXT,
        ),
        (
            "Firefox",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            TEXT,
        ),
        (
            "Chrome",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
             application/signed-exchange;v=b3;q=0.7",
            TEXT,
        ),
        ("a JSON client", "application/json", TEXT),
    ] {
        assert_eq!(answer(&[accept]), expect, "{client}");
    }
    assert_eq!(answer(&[]), TEXT);
}

#[test]
fn parts_are_weighed_as_the_standard_says() {
    for (accept, expect) in [
        ("application/openmetrics-text", OLD_OPEN_METRICS),
        ("application/openmetrics-text; version=1.0.0", OPEN_METRICS),
        ("application/openmetrics-text; version=2.0.0", TEXT),
        (
            "Application/OpenMetrics-TEXT;VERSION=1.0.0;Q=1.000",
            OPEN_METRICS,
        ),
        (
            "application/openmetrics-text;q=0.9;charset=utf-8;version=\"1.0.0\"",
            OPEN_METRICS,
        ),
        (
            "application/openmetrics-text ; version=\"1\\.0.0\" , text/plain;q=0.1",
            OPEN_METRICS,
        ),
        ("text/plain;x=\"a,application/openmetrics-text\"", TEXT),
        (
            "text/plain;q=0.2, application/openmetrics-text;version=1.0.0;q=0.2",
            TEXT,
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.2, text/plain;q=0.2",
            OPEN_METRICS,
        ),
        (
            "*/*, application/openmetrics-text;version=1.0.0",
            OPEN_METRICS,
        ),
        (
            "*/*, application/openmetrics-text;version=1.0.0;q=0.9",
            TEXT,
        ),
        ("application/*", OPEN_METRICS),
        ("application/vnd.google.protobuf", PROTOBUF),
        ("application/vnd.google.protobuf;encoding=text", TEXT),
        ("application/vnd.google.protobuf;proto=other.Message", TEXT),
        (
            "application/vnd.google.protobuf;proto=\"io.prometheus.client.MetricFamily\";encoding=delimited;q=0",
            TEXT,
        ),
        (
            "application/vnd.google.protobuf;q=0.4, application/openmetrics-text;version=1.0.0;q=0.5",
            OPEN_METRICS,
        ),
        ("text/*;q=0.3, application/*;q=0.2", TEXT),
        ("*/*, text/plain;q=0", OPEN_METRICS),
        (
            "*/*, text/plain;q=0, application/openmetrics-text;q=0",
            PROTOBUF,
        ),
        ("application/openmetrics-text;version=1.0.0;q=0", TEXT),
        (
            "application/openmetrics-text;version=1.0.0;q=0.0, application/openmetrics-text",
            OLD_OPEN_METRICS,
        ),
        (
            "text/plain, text/plain;version=0.0.4;q=0.1, application/openmetrics-text;version=1.0.0;q=0.5",
            TEXT,
        ),
    ] {
        assert_eq!(answer(&[accept]), expect, "{accept}");
    }
}

#[test]
fn a_part_that_cannot_be_read_is_ignored() {
    for part in [
        "",
        "text",
        ";",
        "=",
        "application/openmetrics-text;version=1.0.0;q=",
        "application/openmetrics-text;version=1.0.0;q=2",
        "application/openmetrics-text;version=1.0.0;q=-1",
        "application/openmetrics-text;version=1.0.0;q=1e0",
        "application/openmetrics-text;version=1.0.0;q=nan",
        "application/openmetrics-text;version=\"1.0.0",
        "application/openmetrics-text;version=1.0.0\"",
        "application/openmetrics-text;version=\"1.0\"0",
    ] {
        assert_eq!(answer(&[part]), TEXT, "{part}");
        let beside = answer(&[part, "application/openmetrics-text;version=0.0.1;;;q=0.5;x"]);
        assert_eq!(beside, OLD_OPEN_METRICS, "{part}");
    }
}

#[test]
fn several_headers_are_one_list() {
    let headers = [
        "text/plain;q=0.5",
        "application/json, application/openmetrics-text;version=1.0.0;escaping=dots;q=0.6",
    ];
    let expect = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots";
    assert_eq!(answer(&headers), expect);
    assert_eq!(answer(&[&headers.join(",")]), expect);
}

#[test]
fn the_escaping_that_was_asked_for_is_told_and_an_unknown_one_is_not() {
    let text = "text/plain; version=0.0.4; charset=utf-8; escaping=values";
    assert_eq!(answer(&["text/plain;version=0.0.4;escaping=values"]), text);
    assert_eq!(answer(&["text/plain;escaping=\"VALUES\""]), text);
    assert_eq!(answer(&["text/plain;escaping=rot13"]), TEXT);
    assert_eq!(answer(&["text/plain, text/html;escaping=dots"]), TEXT);
}

fn coded(headers: &[&str]) -> Coding {
    let mut request = HeaderMap::new();
    for header in headers {
        request.append(ACCEPT_ENCODING, header.parse().unwrap());
    }
    coding(&request)
}

#[test]
fn a_coding_is_chosen_as_the_standard_says() {
    for gzip in [
        "gzip",
        "x-gzip",
        "GZIP ; Q=0.001",
        "gzip, deflate, br, zstd",
        "deflate;q=1, gzip;q=0.5",
        "gzip;q=0.5, identity;q=0.5",
        "identity;q=0.2, gzip;q=0.3",
        "*",
        "*;q=0.1",
        "br, *;q=0.1",
        "identity;q=0",
        "identity;q=0, *",
        "gzip, *;q=0",
        "*;q=0, gzip;q=0.1",
        "gzip;q=0, gzip",
    ] {
        assert_eq!(coded(&[gzip]), Coding::Gzip, "{gzip}");
    }
    for identity in [
        "",
        ",",
        "identity",
        "deflate, br",
        "gzip;q=0",
        "gzip;q=0.000, *",
        "GZip; q=0",
        "gzip;q=0, identity;q=0",
        "*;q=0",
        "gzip;q=0.5, identity",
        "gzip;q=0.5, identity;q=0.8",
        "gzip;q=nan",
        "gzip;q=2",
        "gzipped",
    ] {
        assert_eq!(coded(&[identity]), Coding::Identity, "{identity}");
    }
    assert_eq!(coded(&[]), Coding::Identity);
    assert_eq!(coded(&["br", "gzip;q=0.5"]), Coding::Gzip);
}
