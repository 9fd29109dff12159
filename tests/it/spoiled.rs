//! Answers that are good but for one thing: what a client gets.

use cryptshare_exporter::clock::Clock;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    oracle,
    rig::{Exporter, Server, config, run},
    stranger::{Answer, Stranger},
};

async fn server(more: &[&str]) -> Server {
    let fixed = ["--speed", "0", "--senders", "1", "--transfers", "150"];
    Server::start(&[&fixed, more].concat()).await
}

fn ids(answer: &Answer) -> Vec<String> {
    let data = answer.data();
    let items = data.as_array().unwrap().iter();
    let ids = items.filter_map(|item| item["trackingId"].as_str());
    ids.map(str::to_owned).collect()
}

#[tokio::test]
async fn lists_are_spoiled_in_one_thing() {
    let server = server(&[]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let page = async |fault: Value, page: usize| {
        server.faults(json!([fault])).await;
        let path = format!("transfers?page-size=50&page={page}");
        ids(&ada.get(&path).await)
    };
    let none = json!({"kind": "latency", "milliseconds": 0});
    let (first, second) = (page(none.clone(), 1).await, page(none, 2).await);
    let came = json!({"kind": "shifted_page", "items": 2});
    assert_eq!(page(came.clone(), 1).await, first);
    assert_eq!(page(came, 2).await[..2], first[48..]);
    let went = json!({"kind": "shifted_page", "items": -2});
    assert_eq!(page(went, 2).await[..48], second[2..]);
    let double = page(json!({"kind": "duplicate_items"}), 1).await;
    assert_eq!((double.len(), &double[0]), (100, &double[1]));
    assert!(page(json!({"kind": "empty_list"}), 1).await.is_empty());
    let corrupt = page(json!({"kind": "corrupt_item"}), 1).await;
    assert_eq!(corrupt.len(), 49);
}

#[tokio::test]
async fn heads_are_spoiled_in_one_thing() {
    let server = server(&[]).await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let get = async |fault: Value| {
        server.faults(json!([fault])).await;
        ada.get("verification").await
    };
    let plain = get(json!({"kind": "content_type"})).await;
    assert_eq!(plain.header("content-type"), Some("text/plain"));
    assert_eq!(plain.data()["verified"], true);
    let date = |answer: &Answer| httpdate::parse_http_date(answer.header("date").unwrap()).unwrap();
    let right = date(&plain);
    let ahead = get(json!({"kind": "clock_skew", "skewSeconds": 7200})).await;
    assert_eq!(date(&ahead).duration_since(right).unwrap().as_secs(), 7200);
    let url = format!("{}/api/users/{}/transfers?page=1", server.url, ada.address);
    server.faults(json!([{"kind": "redirect_loop"}])).await;
    let client = reqwest::Client::builder();
    let client = client.redirect(reqwest::redirect::Policy::none()).build();
    let looped = crate::stranger::send(client.unwrap().get(&url)).await;
    assert_eq!(looped.status, 307);
    assert!(url.ends_with(looped.header("location").unwrap()));
}

#[tokio::test]
async fn a_fault_may_come_by_share_and_by_time() {
    let server = server(&[
        "--fault",
        "status,status=503,share=0.5,endpoint=verification",
    ])
    .await;
    let ada = Stranger::verified(&server, &server.senders[0]).await;
    let mut failed = 0;
    for _ in 0..60 {
        failed += u32::from(ada.get("verification").await.status == 503);
    }
    assert!((10..=50).contains(&failed), "{failed}");
    server
        .faults(json!([{"kind": "html", "status": 500, "seconds": 1}]))
        .await;
    assert_eq!(ada.get("verification").await.status, 500);
    crate::rig::eventually("the end of the fault", async || {
        (ada.get("verification").await.status == 200).then_some(())
    })
    .await;
    let (code, _, complaint) = run(&["simulate", "--fault", "nothing"]);
    assert_eq!(code, 2, "{complaint}");
}

/// A server in maintenance lists nothing, and that is the first thing we see of
/// it: what it lists later was there all the same.
#[tokio::test]
async fn a_first_listing_that_is_empty_makes_nothing_new_of_what_was_there() {
    let server = server(&["--activity", "0"]).await;
    server.faults(json!([{"kind": "empty_list"}])).await;
    let exporter = Exporter::start(&config(&server, ""), &[]).await;
    exporter.polls(2.0).await;
    server.faults(json!([])).await;
    let truth = server.truth().await;
    let sent = oracle::transfers(&truth["senders"][&server.senders[0]]);
    let count = |count: usize| f64::from(u32::try_from(count).unwrap());
    exporter
        .is("cryptshare_transfers", &[], count(sent.len()))
        .await;
    // Of the last day nobody knows.
    let yesterday = Clock::System.now() - SignedDuration::from_hours(24);
    let yesterday = yesterday.strftime("%Y%m%d-%H%M%S").to_string();
    let is_young =
        |(id, told): &(&String, &oracle::Told)| **id > yesterday && told.state != "unknown";
    let young = sent.iter().filter(is_young).count();
    assert!(young < sent.len() / 2, "{young} of {}", sent.len());
    let began = [("state", "processing")];
    exporter
        .is("cryptshare_state_transitions_total", &began, count(young))
        .await;
}

#[tokio::test]
async fn items_that_cannot_be_read_are_told_in_one_line_from_the_first_listing_on() {
    let server = server(&[]).await;
    server.faults(json!([{"kind": "corrupt_item"}])).await;
    let exporter = Exporter::start(&config(&server, ""), &[]).await;
    exporter.polls(3.0).await;
    let lines = exporter.process.lines();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("items that cannot be read"))
        .collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("level=warn"), "{told:#?}");
}
