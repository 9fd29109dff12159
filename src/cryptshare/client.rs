//! The calls an exporter makes.
//!
//! **Invariants.** Each call asks at most twice: once, and once more after the
//! token was renewed.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Method, header::HeaderValue};
use secrecy::SecretString;
use url::Url;

use super::{
    BuildError, Endpoint, Error, SenderSettings, Settings,
    answers::{self, Decoded, Methods, Notes, Page, Standing},
    auth::{Login, Token},
    link::Link,
    paging::{Judge, LARGEST_PAGE, Leaf, Listing, Style},
    transport::Call,
    verification,
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
    link: Arc<Link>,
    logins: BTreeMap<SenderId, Login>,
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
        let link = Link::new(settings, budget, clock, telemetry)?;
        let login = |sender: &SenderSettings| (sender.id.clone(), Login::new(settings, sender));
        Ok(Self {
            logins: settings.senders.iter().map(login).collect(),
            link: Arc::new(link),
        })
    }

    /// The client by other settings, of the same server in the configuration.
    /// It shares the link where that would be the same, and holds on to the
    /// tokens that are still those to ask with.
    ///
    /// # Errors
    /// As [`Self::new`]; this client stays as it is.
    pub fn follow(&self, settings: &Settings, budget: Budget) -> Result<Self, BuildError> {
        let keeps_tokens = self.link.has_tokens_of(settings);
        let login = |sender: &SenderSettings| {
            let before = self.logins.get(&sender.id).filter(|_| keeps_tokens);
            let login = before.map_or_else(
                || Login::new(settings, sender),
                |before| before.follow(settings, sender),
            );
            (sender.id.clone(), login)
        };
        Ok(Self {
            link: Link::follow(&self.link, settings, budget)?,
            logins: settings.senders.iter().map(login).collect(),
        })
    }

    /// Whether both share their link: what was learned by the one holds for the
    /// other.
    pub fn shares_link(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }

    /// The next page of a listing: what it tells for the first time; none when
    /// the listing is over. `judge` says how far the listing is to go.
    ///
    /// # Errors
    /// If the page could not be read; asked again, the listing goes on with it.
    pub async fn page(
        &self,
        sender: &SenderId,
        listing: &mut Listing,
        judge: Judge<'_>,
    ) -> Result<Option<Vec<Transfer>>, Error> {
        let login = self.login(sender)?;
        let style = match listing.style() {
            // It was given up since the listing began.
            Some(Style::Bulk) if self.link.versions.lists() == Style::Plain => {
                listing.change(Style::Plain, self.link.page_sizes.of(sender));
                Style::Plain
            }
            Some(style) => style,
            None => self.begin(sender, listing).await?,
        };
        let Some(leaf) = listing.next() else {
            return Ok(None);
        };
        let answer = match style {
            Style::Bulk => self.bulk_page(login, leaf).await,
            Style::Plain => self.plain_page(login, leaf).await,
        };
        match &answer {
            Err(error)
                if style == Style::Bulk && self.link.versions.take_refusal(error, leaf.size) =>
            {
                listing.begin(Style::Plain, self.link.page_sizes.of(sender));
                return Ok(Some(Vec::new()));
            }
            answer if style == Style::Plain => self.link.versions.note_plain(answer.is_ok()),
            _ => {}
        }
        self.take(sender, listing, (leaf, answer), judge).map(Some)
    }

    /// Takes in a page, and how large it may be.
    fn take(
        &self,
        sender: &SenderId,
        listing: &mut Listing,
        (leaf, answer): (Leaf, Result<Page, Error>),
        judge: Judge<'_>,
    ) -> Result<Vec<Transfer>, Error> {
        let taken = listing.take(answer, judge);
        self.link.page_sizes.note(sender, listing.size());
        match &taken {
            Ok(_) if leaf.size == listing.size() && self.link.page_sizes.has_new_hope(sender) => {
                listing.enlarge(LARGEST_PAGE);
            }
            Err(error) if error.reason() == Reason::TooLarge => {
                self.link.page_sizes.give_up(sender);
            }
            _ => {}
        }
        taken
    }

    async fn begin(&self, sender: &SenderId, listing: &mut Listing) -> Result<Style, Error> {
        let style = self
            .link
            .versions
            .style(async || self.offered().await)
            .await?;
        listing.begin(style, self.link.page_sizes.of(sender));
        Ok(style)
    }

    /// The highest minor version that the server says it has.
    async fn offered(&self) -> Result<Option<u64>, Error> {
        let call = Call {
            endpoint: Endpoint::ApiStatus,
            method: Method::GET,
            url: &self.link.transport.url(&["status"]),
            token: None,
            body: None,
            language: &HeaderValue::from_static("en"),
        };
        let body = self.link.transport.send(call).await?;
        Ok(answers::minor(&body))
    }

    /// The status of one transfer.
    ///
    /// # Errors
    /// With [`Reason::NotFound`] if the server does not know the transfer.
    pub async fn inspect(&self, sender: &SenderId, id: &TrackingId) -> Result<Transfer, Error> {
        let login = self.login(sender)?;
        let url = login.identity.url(&["transfers", id.as_str()]);
        let body = self.get(login, Endpoint::TransferStatus, url).await?;
        answers::status(id, &body).map(|answer| self.note(answer))
    }

    /// Asks whether the sender is verified, and until when.
    ///
    /// # Errors
    /// If the server cannot be asked, or says that the sender is not verified
    /// although the token was just renewed.
    pub async fn verify(&self, sender: &SenderId) -> Result<(), Error> {
        let login = self.login(sender)?;
        let mut standing = self.standing(login).await?;
        if standing.verified == Some(false) {
            let token = login.token(&self.link.transport).await?;
            login.replace(&token, &self.link.transport).await?;
            standing = self.standing(login).await?;
        }
        if standing.verified == Some(false) {
            login.distrust().await;
            let detail = "the server says that the sender is not verified";
            let action = "failed to verify the sender";
            return Err(Error::new(action, Reason::NotVerified, detail));
        }
        login
            .note_validity(standing.valid_until, &self.link.transport)
            .await;
        Ok(())
    }

    /// Whether `sender` may ask, as far as is known without asking.
    pub async fn verification(&self, sender: &SenderId) -> Verification {
        match self.logins.get(sender) {
            Some(login) => login.verification(&self.link.transport).await,
            None => Verification::Unknown,
        }
    }

    /// How the server would verify the sender; `None` if it does not tell.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub async fn methods(&self, sender: &SenderId) -> Result<Option<Methods>, Error> {
        self.login(sender)?.methods(&self.link.transport).await
    }

    /// Lets the server mail a code to the sender.
    ///
    /// # Errors
    /// If the server cannot be asked, or refuses.
    pub async fn mail_code(&self, sender: &SenderId) -> Result<(), Error> {
        let login = self.login(sender)?;
        verification::mail_code(&self.link.transport, &login.identity).await
    }

    /// Whether a token of the sender could be kept now: to learn that with the
    /// code in hand would be too late, for a code opens once.
    ///
    /// # Errors
    /// If the state directory cannot be written.
    pub fn can_keep(&self, sender: &SenderId) -> Result<io::Result<()>, Error> {
        Ok(self.login(sender)?.can_keep())
    }

    /// Exchanges a mailed code for a token and keeps it where an exporter of
    /// the same configuration finds it; the answer is when it ends. The error
    /// within is that of the disk.
    ///
    /// # Errors
    /// With [`Reason::NotVerified`] if the code is wrong.
    pub async fn redeem(
        &self,
        sender: &SenderId,
        code: &SecretString,
    ) -> Result<io::Result<Option<Timestamp>>, Error> {
        self.login(sender)?.redeem(code, &self.link.transport).await
    }

    /// The server's clock minus ours in seconds, once an answer told it.
    pub fn clock_offset(&self) -> Option<f64> {
        self.link.transport.clock_offset()
    }

    /// The server's present date, as far as it is known.
    pub fn server_now(&self) -> Timestamp {
        self.link.transport.server_now()
    }

    async fn standing(&self, login: &Login) -> Result<Standing, Error> {
        let url = login.identity.url(&["verification"]);
        let body = self.get(login, Endpoint::Verification, url).await?;
        answers::verification(&body).map(|answer| self.note(answer))
    }

    async fn plain_page(&self, login: &Login, leaf: Leaf) -> Result<Page, Error> {
        let mut url = login.identity.url(&["transfers"]);
        turn_to(&mut url, leaf);
        let body = self.get(login, Endpoint::Transfers, url).await?;
        answers::list(&body).map(|answer| self.note(answer))
    }

    async fn bulk_page(&self, login: &Login, leaf: Leaf) -> Result<Page, Error> {
        let mut url = login.identity.url(&["transfers", "sent-transfers"]);
        turn_to(&mut url, leaf);
        if leaf.is_active {
            url.query_pairs_mut().append_pair("active", "true");
        }
        url.query_pairs_mut().append_pair("fields", answers::FIELDS);
        let body = self.get(login, Endpoint::SentTransfers, url).await?;
        let page = answers::bulk(&body).map(|answer| self.note(answer))?;
        self.link.versions.note(&page.transfers);
        Ok(page)
    }

    /// GETs with the sender's token; a refused token is renewed once.
    async fn get(&self, login: &Login, endpoint: Endpoint, url: Url) -> Result<Bytes, Error> {
        let call = Call {
            endpoint,
            method: Method::GET,
            url: &url,
            token: None,
            body: None,
            language: &login.identity.language,
        };
        let ask = async |token: Token| {
            let token = Some(&token.header);
            let call = Call {
                token,
                ..call.clone()
            };
            self.link.transport.send(call).await
        };
        let token = login.token(&self.link.transport).await?;
        let body = match ask(token.clone()).await {
            Err(error) if error.reason() == Reason::Unauthorized => {
                login
                    .retry((&token, error), &self.link.transport, ask)
                    .await?
            }
            body => body?,
        };
        login.trust(&token).await;
        self.link
            .telemetry
            .api_version(self.link.server(), self.link.versions.minor());
        Ok(body)
    }

    fn login(&self, sender: &SenderId) -> Result<&Login, Error> {
        self.logins.get(sender).ok_or_else(|| {
            let detail = "the sender is not configured for this server";
            Error::new("failed to find the sender", Reason::Rejected, detail)
        })
    }

    /// Counts what had to be left out of an answer, and passes on the rest.
    fn note<T>(&self, answer: Decoded<T>) -> T {
        let Decoded { value, notes } = answer;
        if notes == Notes::default() {
            return value;
        }
        let (server, telemetry) = (self.link.server(), &self.link.telemetry);
        let verification_methods = notes.unknown_verification_methods;
        telemetry.rejected(server, Reason::Malformed.label(), notes.rejected);
        if notes.rejected > 0 {
            self.link.nonsense.tell(server, notes.rejected);
        }
        telemetry.unknown_values(server, "state", notes.unknown_states);
        telemetry.unknown_values(server, "retrieval_method", notes.unknown_methods);
        telemetry.unknown_values(server, "verification_method", verification_methods);
        value
    }
}

fn turn_to(url: &mut Url, leaf: Leaf) {
    url.query_pairs_mut()
        .append_pair("page", &leaf.page.to_string())
        .append_pair("page-size", &leaf.size.to_string());
}
