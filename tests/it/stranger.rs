//! A client of the REST API that knows the contract and nothing of ours.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::rig::Server;

/// One user of the simulated server.
pub struct Stranger<'a> {
    server: &'a Server,
    client: reqwest::Client,
    pub address: String,
    pub client_id: String,
    /// The version that is asked for.
    pub minor: u32,
    pub token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl<'a> Stranger<'a> {
    /// A user with the registered client id and no token.
    pub fn new(server: &'a Server, address: &str) -> Self {
        Self {
            server,
            client: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .build()
                .unwrap(),
            address: address.to_owned(),
            client_id: server.client_id.clone(),
            minor: 8,
            token: String::new(),
        }
    }

    /// The same, verified by the client id.
    pub async fn verified(server: &'a Server, address: &str) -> Self {
        let mut stranger = Self::new(server, address);
        let answer = stranger.post("verification/token", "{}").await;
        let token = answer.data()["token"].take();
        token.as_str().unwrap().clone_into(&mut stranger.token);
        stranger
    }

    /// Asks for a code, and reads the mail that brings it.
    pub async fn mailed_code(&self) -> String {
        let answer = self.post("verification/code/email", "").await;
        assert_eq!((answer.status, answer.bytes.len()), (200, 0));
        let mails = self.mails().await;
        let newest = mails.as_array().unwrap().last().unwrap();
        assert_eq!(
            (&newest["kind"], &newest["to"]),
            (&json!("verification"), &json!(self.address))
        );
        newest["code"].as_str().unwrap().to_owned()
    }

    /// The user's mails, oldest first.
    pub async fn mails(&self) -> Value {
        self.server
            .get(&format!("mailbox?email={}", self.address))
            .await
    }

    /// Turns a code into a token, and uses it from now on.
    pub async fn redeem(&mut self, code: &str) -> Answer {
        let body = json!({"verificationCode": code}).to_string();
        let answer = self.post("verification/token", &body).await;
        if answer.status == 200 {
            answer.data()["token"]
                .as_str()
                .unwrap()
                .clone_into(&mut self.token);
        }
        answer
    }

    /// A request below `/api/users/{address}/`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.plain(method, &format!("/api/users/{}/{path}", self.address))
            .header("X-CS-VerificationToken", &self.token)
    }

    /// A request of any path, without a token.
    pub fn plain(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.server.url);
        self.client
            .request(method, url)
            .header("X-CS-MajorApiVersion", "1")
            .header("X-CS-MinimumMinorApiVersion", self.minor.to_string())
            .header("X-CS-ClientId", &self.client_id)
    }

    /// GETs a path below the user's.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// POSTs to a path below the user's.
    pub async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, path).body(body.to_owned());
        send(request).await
    }
}

impl Answer {
    /// `data` of a good answer.
    pub fn data(&self) -> Value {
        let mut body = self.json();
        assert_eq!(self.status, 200, "{body}");
        body["data"].take()
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and error code; code 0 if there is none.
    pub fn error(&self) -> (u16, u64) {
        let code = self.json()["errorCode"].as_u64();
        (self.status, code.unwrap_or_default())
    }
}

/// Sends a request and reads the answer to its end.
pub async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        bytes: answer.bytes().await.unwrap().to_vec(),
    }
}
