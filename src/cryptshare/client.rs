//! The calls an exporter makes.
//!
//! **Invariants.** Each call asks at most twice: once, and once more after the
//! token was renewed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use url::Url;

use super::{
    BuildError, Endpoint, Error, Settings,
    auth::{Login, Token},
    paging::{Listing, Page, Sizes},
    tokens::TokenFile,
    translate::{self, Notes},
    transport::{Call, Transport},
    wire::{Envelope, ListItem, Object, Shape, Told, TransferStatus, VerificationAnswer},
};
use crate::{
    budget::Budget,
    clock::Clock,
    model::{Reason, SenderId, TrackingId, Transfer, Verification},
    telemetry::Telemetry,
};

/// A client of one server, for all of its senders.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    server: String,
    logins: BTreeMap<SenderId, Login>,
    page_sizes: Sizes,
    telemetry: Telemetry,
}

impl Client {
    /// Builds the client; nothing is asked yet.
    ///
    /// # Errors
    /// If the TLS settings or the client id cannot be used.
    pub fn new(
        settings: &Settings,
        budget: Budget,
        clock: Clock,
        telemetry: Telemetry,
    ) -> Result<Self, BuildError> {
        let login = |sender: &super::SenderSettings| {
            let directory = settings.token_directory.as_deref();
            let file = directory.map(|d| TokenFile::new(d, &sender.id, &settings.client_id));
            let (address, language) = (sender.address.clone(), sender.language.clone());
            let login = Login::new(address, language, file.unwrap_or_default());
            (sender.id.clone(), login)
        };
        Ok(Self {
            transport: Transport::new(settings, budget, clock, telemetry.clone())?,
            server: settings.server.clone(),
            logins: settings.senders.iter().map(login).collect(),
            page_sizes: Sizes::default(),
            telemetry,
        })
    }

    /// Every transfer that the server lists for `sender`, newest first.
    ///
    /// # Errors
    /// If any page could not be read: half a listing is none.
    pub async fn list(&self, sender: &SenderId) -> Result<Vec<Transfer>, Error> {
        let login = self.login(sender)?;
        let mut listing = Listing::new(self.page_sizes.of(sender));
        while let Some((page, size)) = listing.next() {
            let taken = listing.take(self.page(login, page, size).await);
            self.page_sizes.note(sender, listing.size());
            taken?;
        }
        Ok(listing.finish())
    }

    /// The status of one transfer.
    ///
    /// # Errors
    /// With [`Reason::NotFound`] if the server does not know the transfer.
    pub async fn inspect(&self, sender: &SenderId, id: &TrackingId) -> Result<Transfer, Error> {
        const ACTION: &str = "failed to read the status of a transfer";
        let login = self.login(sender)?;
        let url = self
            .transport
            .url(&login.address, &["transfers", id.as_str()]);
        let Object(answer) = self
            .get::<Object<TransferStatus>>(login, Endpoint::TransferStatus, url, ACTION)
            .await?;
        let mut notes = Notes::default();
        let reading = translate::transfer(id, answer, &mut notes);
        self.note(notes);
        reading.ok_or_else(|| malformed(ACTION, "the answer has no status"))
    }

    /// Asks whether the sender is verified, and until when.
    ///
    /// # Errors
    /// If the server cannot be asked, or says that the sender is not verified
    /// although the token was just renewed.
    pub async fn verify(&self, sender: &SenderId) -> Result<(), Error> {
        const ACTION: &str = "failed to read the verification";
        let login = self.login(sender)?;
        let url = self.transport.url(&login.address, &["verification"]);
        let ask = || {
            let url = url.clone();
            self.get::<Object<VerificationAnswer>>(login, Endpoint::Verification, url, ACTION)
        };
        let Object(mut answer) = ask().await?;
        if answer.verified == Told::Is(false) {
            let token = login.token(&self.transport).await?;
            login.replace(&token, &self.transport).await?;
            Object(answer) = ask().await?;
        }
        if answer.verified == Told::Is(false) {
            login.distrust().await;
        }
        self.take_verification(login, answer).await
    }

    /// Whether `sender` may ask, as far as is known without asking.
    pub async fn verification(&self, sender: &SenderId) -> Verification {
        match self.logins.get(sender) {
            Some(login) => login.verification(&self.transport).await,
            None => Verification::Unknown,
        }
    }

    /// The server's clock minus ours in seconds, once an answer told it.
    pub fn clock_offset(&self) -> Option<f64> {
        self.transport.clock_offset()
    }

    /// The server's present date, as far as it is known.
    pub fn server_now(&self) -> Timestamp {
        self.transport.server_now()
    }

    async fn take_verification(
        &self,
        login: &Login,
        answer: VerificationAnswer,
    ) -> Result<(), Error> {
        let methods = answer.verification_methods.value().unwrap_or_default();
        for method in methods.into_iter().filter_map(Told::value) {
            let word = method.replace('_', "").to_lowercase();
            if word != "clientid" && word != "email" {
                self.telemetry
                    .unknown_values(&self.server, "verification_method", 1);
            }
        }
        if answer.verified == Told::Is(false) {
            let detail = "the server says that the sender is not verified";
            let action = "failed to verify the sender";
            return Err(Error::new(action, Reason::NotVerified, detail));
        }
        let until = answer.valid_until.value();
        let until = until.as_deref().and_then(translate::date);
        login.note_validity(until, &self.transport).await;
        Ok(())
    }

    async fn page(&self, login: &Login, page: u32, size: u32) -> Result<Page, Error> {
        const ACTION: &str = "failed to list the transfers";
        let mut url = self.transport.url(&login.address, &["transfers"]);
        url.query_pairs_mut()
            .append_pair("page", &page.to_string())
            .append_pair("page-size", &size.to_string());
        let items = self
            .get::<Vec<Told<Object<ListItem>>>>(login, Endpoint::Transfers, url, ACTION)
            .await?;
        let mut notes = Notes::default();
        let page = Page {
            items: items.len(),
            transfers: items
                .into_iter()
                .filter_map(|item| translate::list_item(item, &mut notes))
                .collect(),
        };
        self.note(notes);
        Ok(page)
    }

    /// GETs with the sender's token; a refused token is renewed once.
    async fn get<T>(
        &self,
        login: &Login,
        endpoint: Endpoint,
        url: Url,
        action: &'static str,
    ) -> Result<T, Error>
    where
        T: for<'de> Shape<'de>,
    {
        let call = Call {
            action,
            endpoint,
            method: Method::GET,
            url,
            token: None,
            language: &login.language,
        };
        let ask = async |token: Token| {
            let token = Some(&token.secret);
            let call = Call {
                token,
                ..call.clone()
            };
            self.transport.send(call).await
        };
        let token = login.token(&self.transport).await?;
        let body = match ask(token.clone()).await {
            Err(error) if error.reason() == Reason::Unauthorized => {
                login.retry((&token, error), &self.transport, ask).await?
            }
            body => body?,
        };
        login.trust(&token).await;
        decode(&body, action)
    }

    fn login(&self, sender: &SenderId) -> Result<&Login, Error> {
        self.logins.get(sender).ok_or_else(|| {
            let detail = "the sender is not configured for this server";
            Error::new("failed to find the sender", Reason::Rejected, detail)
        })
    }

    fn note(&self, notes: Notes) {
        let (server, telemetry) = (&self.server, &self.telemetry);
        telemetry.rejected(server, Reason::Malformed.label(), notes.rejected);
        telemetry.unknown_values(server, "state", notes.unknown_states);
        telemetry.unknown_values(server, "retrieval_method", notes.unknown_methods);
    }
}

/// Reads the envelope. The parser's own message is dropped: it could quote
/// what must not be logged.
fn decode<T>(body: &[u8], action: &'static str) -> Result<T, Error>
where
    T: for<'de> Shape<'de>,
{
    let envelope: Envelope<T> = serde_json::from_slice(body).map_err(|error| {
        let detail = format!(
            "the answer is not JSON (line {}, column {})",
            error.line(),
            error.column()
        );
        malformed(action, detail)
    })?;
    envelope
        .data
        .value()
        .ok_or_else(|| malformed(action, "the answer has no data of the right type"))
}

fn malformed(action: &'static str, detail: impl Into<String>) -> Error {
    Error::new(action, Reason::Malformed, detail)
}
