//! What the server finds in an uploaded file (contract, section 7).
//!
//! **Invariants.** Only what a client has uploaded is looked at.

use aws_lc_rs::digest::{self, Algorithm};

use super::letter::{Content, SimFile};

/// What the EICAR test file holds; not the whole of it, lest a scanner take
/// this program for a virus.
const MARK: &[u8] = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!";

pub(super) const VIRUS: &str = "A virus was found in this file.";
pub(super) const FILE_TYPE: &str = "This type of file is not permitted.";
pub(super) const CHECKSUM: &str = "The checksum of this file is wrong.";
const BROKEN: &str = "The file could not be processed.";

/// The causes in German and in French.
const TRANSLATIONS: [(&str, &str, &str); 4] = [
    (
        VIRUS,
        "In dieser Datei wurde ein Virus gefunden.",
        "Un virus a été trouvé dans ce fichier.",
    ),
    (
        FILE_TYPE,
        "Dieser Dateityp ist nicht erlaubt.",
        "Ce type de fichier n'est pas autorisé.",
    ),
    (
        CHECKSUM,
        "Die Prüfsumme dieser Datei ist falsch.",
        "La somme de contrôle de ce fichier est fausse.",
    ),
    (
        BROKEN,
        "Die Datei konnte nicht verarbeitet werden.",
        "Le fichier n'a pas pu être traité.",
    ),
];

/// The cause of a removal in `language`, as far as the server has it.
pub(super) fn in_language<'a>(cause: &'a str, language: &str) -> &'a str {
    let known = TRANSLATIONS.iter().find(|(english, ..)| *english == cause);
    match (known, language) {
        (Some((_, german, _)), "de") => german,
        (Some((.., french)), "fr") => french,
        _ => cause,
    }
}

/// Why `file` is removed, if it is.
pub(super) fn finding(file: &SimFile, algorithm: &str, denied: &[String]) -> Option<&'static str> {
    let Content::Uploaded(content) = &file.content else {
        return None;
    };
    if content.windows(MARK.len()).any(|bytes| bytes == MARK) {
        return Some(VIRUS);
    }
    let (_, ending) = file.name.rsplit_once('.').unwrap_or_default();
    if denied.iter().any(|end| end.eq_ignore_ascii_case(ending)) {
        return Some(FILE_TYPE);
    }
    let told = file.checksum.as_ref()?;
    let is_right = checksum(algorithm, content).is_some_and(|sum| sum.eq_ignore_ascii_case(told));
    (!is_right).then_some(CHECKSUM)
}

/// The checksum of `bytes` in hexadecimal digits; none if the algorithm is
/// unknown.
pub(super) fn checksum(algorithm: &str, bytes: &[u8]) -> Option<String> {
    let digest = digest::digest(algorithm_of(algorithm)?, bytes);
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Some(digits.collect())
}

/// The algorithm with this name, in either spelling (contract, section 8, row
/// 22).
pub(super) fn algorithm_of(name: &str) -> Option<&'static Algorithm> {
    Some(match name.replace('-', "").to_uppercase().as_str() {
        "SHA1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA256" => &digest::SHA256,
        "SHA384" => &digest::SHA384,
        "SHA512" => &digest::SHA512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_removed_for_what_is_in_them() {
        let file = |name: &str, content: &[u8], checksum: Option<&str>| SimFile {
            id: String::new(),
            name: name.to_owned(),
            size: 0,
            checksum: checksum.map(str::to_owned),
            content: Content::Uploaded(content.to_vec().into()),
            removed: None,
        };
        let abc = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let eicar = [b"..".as_slice(), MARK, b"."].concat();
        for (file, expect) in [
            (file("a.txt", b"abc", None), None),
            (file("a.txt", b"abc", Some(abc)), None),
            (file("a.txt", b"abd", Some(abc)), Some(CHECKSUM)),
            (file("a.EXE", b"abc", None), Some(FILE_TYPE)),
            (file("exe", b"abc", None), None),
            (file("a.txt", &eicar, None), Some(VIRUS)),
        ] {
            assert_eq!(finding(&file, "SHA-256", &["exe".to_owned()]), expect);
        }
    }
}
