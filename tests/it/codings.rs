//! gzip, as the programs of this world read it: each gets the whole body, and
//! what it gets is what we mean.

use std::process::Command;

use crate::{
    judges::{demo, every_series_stands_once_in_its_family, judged, metrics},
    rig::sum,
};

/// Inflates a member as zlib does, and says how much comes after it.
const ZLIB: &str = "
import sys, zlib
reader = zlib.decompressobj(wbits=31)
plain = reader.decompress(sys.stdin.buffer.read())
assert reader.eof and not reader.unused_data
sys.stdout.buffer.write(plain)
";

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";

async fn member(url: &str) -> Vec<u8> {
    let client = reqwest::Client::builder().gzip(false).build().unwrap();
    let request = client.get(format!("{url}/metrics"));
    let request = request.header("accept", OPEN_METRICS);
    let answer = request.header("accept-encoding", "gzip").send().await;
    let answer = answer.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    answer.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn gunzip_and_zlib_read_the_same_member() {
    let (_demo, url) = demo().await;
    metrics(&url, OPEN_METRICS).await;
    let member = member(&url).await;
    let by_gunzip = judged("gunzip", &["-c"], &member);
    let by_zlib = judged("target/tools/bin/python", &["-c", ZLIB], &member);
    assert!(by_gunzip == by_zlib);
    judge(&by_gunzip);
}

/// Of several members both would show the first alone.
#[tokio::test]
async fn curl_and_wget_get_the_whole_body() {
    let (_demo, url) = demo().await;
    metrics(&url, OPEN_METRICS).await;
    let url = format!("{url}/metrics");
    let accept = format!("Accept: {OPEN_METRICS}");
    for (program, arguments) in [
        ("curl", ["-sS", "--compressed", "-H", &accept, &url]),
        ("curl", ["-sS", "--http1.1", "-H", &accept, &url]),
        (
            "wget",
            ["-nv", "-O-", "--compression=gzip", "--header", &accept],
        ),
        (
            "wget",
            ["-nv", "-O-", "--compression=none", "--header", &accept],
        ),
    ] {
        let mut command = Command::new(program);
        command.args(arguments);
        if program == "wget" {
            command.arg(&url);
        }
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("{program}, from scripts/test: {error}"));
        assert!(output.status.success(), "{arguments:?}");
        judge(&String::from_utf8(output.stdout).unwrap());
    }
}

fn judge(body: &str) {
    assert!(body.ends_with("\n# EOF\n"));
    every_series_stands_once_in_its_family(body);
    let samples = crate::rig::parse(body);
    assert!(sum(&samples, "cryptshare_up", &[]) > Some(0.0));
    assert!(sum(&samples, "process_open_fds", &[]) > Some(0.0));
}

/// Things happen all the time, and no page shows a transfer in two states.
#[tokio::test]
async fn every_page_of_a_moving_world_is_one_state_of_it() {
    let (_demo, url) = demo().await;
    for _ in 0..20 {
        let body = metrics(&url, OPEN_METRICS).await;
        every_series_stands_once_in_its_family(&body);
    }
}
