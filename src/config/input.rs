//! The files that a configuration names and is made of.
//!
//! **Invariants.** A file is looked at before it is read, so that what changes
//! meanwhile is seen at the next look.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::files::Stamp;

/// A file that is part of the configuration, as it was before it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    path: PathBuf,
    /// None if it could not be looked at.
    stamp: Option<Stamp>,
}

impl Input {
    /// The file as it is now.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            stamp: Stamp::of(path).ok(),
        }
    }

    /// The same file as it is now.
    #[must_use]
    pub fn now(&self) -> Self {
        Self::of(&self.path)
    }
}

/// Where the files are gathered.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs(Rc<RefCell<Vec<Input>>>);

impl Inputs {
    /// Notes that this file is about to be read.
    pub(super) fn note(&self, path: &Path) {
        self.0.borrow_mut().push(Input::of(path));
    }

    /// All of them.
    pub(super) fn take(&self) -> Vec<Input> {
        self.0.take()
    }
}
