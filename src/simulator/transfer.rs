//! One simulated transfer and what can happen to it (contract, section 7).
//!
//! **Invariants.** A transition that the life-cycle does not know is a
//! conflict and changes nothing.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::letter::{Letter, SimFile, SimRecipient, Way};

/// Without a schedule the cleanup task runs this long after an expiration.
const CLEANUP_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// When the server tidies up (contract, section 7).
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// The cleanup task runs at the full multiples of so many seconds since
    /// 1970; none: it has no schedule.
    pub(super) cleanup_every: Option<i64>,
    /// The "automated deletion": an ended transfer is forgotten this long after
    /// its end.
    pub(super) forget_after: SignedDuration,
}

impl Schedule {
    /// When the cleanup task takes what expires at `at`.
    fn cleanup(self, at: Timestamp) -> Option<Timestamp> {
        let Some(every) = self.cleanup_every.filter(|every| *every > 0) else {
            return at.checked_add(CLEANUP_AFTER).ok();
        };
        let run = at.as_second().div_euclid(every).checked_add(1)?;
        Timestamp::from_second(run.checked_mul(every)?).ok()
    }
}

/// The states, as the API spells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// A session that is not finalized.
    Pending,
    Processing,
    Active,
    Failed,
    DeletedByExpiration,
    DeletedByRevocation,
    DeletedByAdmin,
    DeletedBySecurity,
    Unknown,
    /// A word that no client knows.
    Archived,
}

impl Stage {
    pub(super) const ALL: [Self; 10] = [
        Self::Pending,
        Self::Processing,
        Self::Active,
        Self::Failed,
        Self::DeletedByExpiration,
        Self::DeletedByRevocation,
        Self::DeletedByAdmin,
        Self::DeletedBySecurity,
        Self::Unknown,
        Self::Archived,
    ];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Processing => "PROCESSING",
            Self::Active => "ACTIVE",
            Self::Failed => "FAILED",
            Self::DeletedByExpiration => "DELETED_BY_EXPIRATION",
            Self::DeletedByRevocation => "DELETED_BY_REVOCATION",
            Self::DeletedByAdmin => "DELETED_BY_ADMIN",
            Self::DeletedBySecurity => "DELETED_BY_SECURITY",
            Self::Unknown => "UNKNOWN",
            Self::Archived => "ARCHIVED",
        }
    }

    /// What a client should call it.
    pub(super) fn label(self) -> String {
        if self == Self::Archived {
            return "other".to_owned();
        }
        self.word().to_lowercase()
    }

    /// Whether nothing leaves this state.
    pub(super) const fn is_final(self) -> bool {
        self.is_deleted() || matches!(self, Self::Failed)
    }

    /// Whether the transfer is there to be retrieved, or about to be.
    pub(super) const fn lives(self) -> bool {
        matches!(self, Self::Processing | Self::Active)
    }

    /// Whether recipients ever got to see it.
    pub(super) const fn was_provided(self) -> bool {
        !matches!(self, Self::Pending | Self::Processing | Self::Failed)
    }

    pub(super) const fn is_deleted(self) -> bool {
        matches!(
            self,
            Self::DeletedByExpiration
                | Self::DeletedByRevocation
                | Self::DeletedByAdmin
                | Self::DeletedBySecurity
        )
    }
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happening {
    Retrieved {
        recipient: usize,
        file: usize,
        way: Way,
    },
    RecipientNotificationFailed(usize),
    SenderNotificationFailed,
    EmlFailed,
    FileRemoved {
        file: usize,
        cause: String,
    },
    Entered(Stage),
    /// The expiration date is moved to now; the cleanup task is still to come.
    Expired,
    Forgotten,
}

/// How processing will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// At least one file is good.
    Active,
    /// All files are removed.
    Failed,
    /// As the files say that a client has uploaded.
    AsFound,
}

/// Who has sent a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The simulator by itself.
    Chance,
    /// Who uses the control API.
    Control,
    /// A client of the REST API.
    Client,
}

#[derive(Debug, Clone)]
pub(super) struct SimTransfer {
    pub(super) id: String,
    pub(super) sender: usize,
    pub(super) stage: Stage,
    pub(super) passed: BTreeSet<Stage>,
    pub(super) files: Vec<SimFile>,
    pub(super) recipients: Vec<SimRecipient>,
    /// So many recipients, the first ones, fetch files by chance.
    pub(super) fetchers: usize,
    pub(super) letter: Letter,
    pub(super) origin: Origin,
    pub(super) expires_at: Timestamp,
    pub(super) processing: Duration,
    /// When it was finalized; meaningless while it is pending.
    pub(super) finalized_at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) eml_failed: bool,
    pub(super) sender_notification_failed: bool,
    /// The token that it was finalized with, if a client has sent it.
    pub(super) sent_with: Option<String>,
    pub(super) forgotten: bool,
}

impl SimTransfer {
    /// Whether a client has sent it: then nothing happens to it by chance.
    pub(super) fn is_of_client(&self) -> bool {
        self.origin == Origin::Client
    }

    /// `warnings`: any of the four failures (contract, section 7).
    pub(super) fn warns(&self) -> bool {
        self.eml_failed
            || self.sender_notification_failed
            || self.files.iter().any(|file| file.removed.is_some())
            || self.recipients.iter().any(|r| r.notification_failed)
    }

    /// Every retrieval: file index, way and date.
    pub(super) fn retrievals(&self) -> impl Iterator<Item = &(usize, Way, Timestamp)> {
        self.recipients.iter().flat_map(|r| &r.retrievals)
    }

    /// When the clock next brings something.
    pub(super) fn due(&self, schedule: Schedule) -> Option<Timestamp> {
        if self.forgotten {
            return None;
        }
        match self.stage {
            Stage::Processing => self.finalized_at.checked_add(self.processing).ok(),
            Stage::Active => schedule.cleanup(self.expires_at),
            Stage::Failed
            | Stage::DeletedByExpiration
            | Stage::DeletedByRevocation
            | Stage::DeletedByAdmin
            | Stage::DeletedBySecurity => self.ended_at?.checked_add(schedule.forget_after).ok(),
            Stage::Pending | Stage::Unknown | Stage::Archived => None,
        }
    }

    /// Lets `happening` come about at `at`.
    ///
    /// # Errors
    /// With the reason if the present state does not permit it.
    pub(super) fn happen(&mut self, happening: &Happening, at: Timestamp) -> Result<(), String> {
        match happening {
            Happening::Retrieved {
                recipient,
                file,
                way,
            } => self.retrieve((*recipient, *file), *way, at),
            Happening::RecipientNotificationFailed(recipient) => {
                self.lives()?;
                let recipient = self.recipients.get_mut(*recipient);
                let recipient = recipient.ok_or("no such recipient")?;
                once(&mut recipient.notification_failed)
            }
            Happening::SenderNotificationFailed => {
                self.lives()?;
                once(&mut self.sender_notification_failed)
            }
            Happening::EmlFailed => {
                self.lives()?;
                once(&mut self.eml_failed)
            }
            Happening::FileRemoved { file, cause } => {
                self.lives()?;
                let file = self.files.get_mut(*file).ok_or("no such file")?;
                if file.removed.is_some() {
                    return Err("it has happened already".to_owned());
                }
                file.removed = Some(cause.clone());
                Ok(())
            }
            Happening::Entered(stage) => self.enter(*stage, at),
            Happening::Expired => {
                self.must_be(Stage::Active)?;
                self.expires_at = self.expires_at.min(at);
                Ok(())
            }
            Happening::Forgotten => once(&mut self.forgotten),
        }
    }

    fn retrieve(
        &mut self,
        (recipient, file): (usize, usize),
        way: Way,
        at: Timestamp,
    ) -> Result<(), String> {
        self.must_be(Stage::Active)?;
        let of = self.files.get(file).ok_or("no such file")?;
        if of.removed.is_some() {
            return Err("the file is removed".to_owned());
        }
        let recipient = self.recipients.get_mut(recipient);
        let recipient = recipient.ok_or("no such recipient")?;
        recipient.retrievals.push((file, way, at));
        Ok(())
    }

    fn enter(&mut self, stage: Stage, at: Timestamp) -> Result<(), String> {
        match stage {
            Stage::Active | Stage::Failed => self.must_be(Stage::Processing)?,
            Stage::DeletedByExpiration
            | Stage::DeletedByRevocation
            | Stage::DeletedByAdmin
            | Stage::DeletedBySecurity
            | Stage::Archived => self.must_be(Stage::Active)?,
            Stage::Processing => self.must_be(Stage::Pending)?,
            Stage::Pending | Stage::Unknown => {
                return Err(format!("nothing enters {}", stage.label()));
            }
        }
        if stage == Stage::Failed && self.files.iter().any(|file| file.removed.is_none()) {
            return Err("a transfer fails when all of its files are removed".to_owned());
        }
        self.stage = stage;
        self.passed.insert(stage);
        if stage == Stage::Processing {
            self.finalized_at = at;
        }
        if stage == Stage::DeletedByExpiration {
            // The cleanup task takes only what has expired.
            self.expires_at = self.expires_at.min(at);
        }
        if stage.is_final() {
            self.ended_at = Some(at);
            self.files.iter_mut().for_each(SimFile::clear);
        }
        Ok(())
    }

    fn lives(&self) -> Result<(), String> {
        if self.stage.lives() {
            return Ok(());
        }
        Err(format!("the transfer is {}", self.stage.label()))
    }

    fn must_be(&self, stage: Stage) -> Result<(), String> {
        if self.stage == stage {
            return Ok(());
        }
        let (is, must) = (self.stage.label(), stage.label());
        Err(format!("the transfer is {is} and not {must}"))
    }
}

fn once(flag: &mut bool) -> Result<(), String> {
    if *flag {
        return Err("it has happened already".to_owned());
    }
    *flag = true;
    Ok(())
}
