//! Many files as one: a ZIP archive, and a mail with attachments.
//!
//! **Invariants.** Files are stored as they are, not compressed. Bounded by
//! what the format can say: 4 GiB.

use std::fmt::Write;

/// Names are UTF-8.
const UTF8: u16 = 1 << 11;

/// The version of the format that is needed.
const VERSION: u16 = 20;

/// The first day that the format knows: January 1st, 1980.
const DAY: u16 = 0x21;

/// A file by its name.
pub(super) type Entry<'a> = (&'a str, &'a [u8]);

/// A ZIP archive; none if it would be too large for the format.
pub(super) fn zip(entries: &[Entry<'_>]) -> Option<Vec<u8>> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let place = u32::try_from(archive.len()).ok()?;
        let about = about(name, content)?;
        archive.extend(0x0403_4b50_u32.to_le_bytes());
        archive.extend(&about);
        archive.extend(name.as_bytes());
        archive.extend(*content);
        directory.extend(0x0201_4b50_u32.to_le_bytes());
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&about);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(place.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let place = u32::try_from(archive.len()).ok()?;
    let count = u16::try_from(entries.len()).ok()?.to_le_bytes();
    let size = u32::try_from(directory.len()).ok()?;
    archive.extend(directory);
    archive.extend(0x0605_4b50_u32.to_le_bytes());
    archive.extend([0; 4]);
    archive.extend(count);
    archive.extend(count);
    archive.extend(size.to_le_bytes());
    archive.extend(place.to_le_bytes());
    archive.extend([0; 2]);
    Some(archive)
}

/// What the archive tells of a file in both places.
fn about(name: &str, content: &[u8]) -> Option<Vec<u8>> {
    let size = u32::try_from(content.len()).ok()?.to_le_bytes();
    let mut about = Vec::new();
    about.extend(VERSION.to_le_bytes());
    about.extend(UTF8.to_le_bytes());
    // Stored, at midnight.
    about.extend([0; 4]);
    about.extend(DAY.to_le_bytes());
    about.extend(crc32(content).to_le_bytes());
    about.extend(size);
    about.extend(size);
    about.extend(u16::try_from(name.len()).ok()?.to_le_bytes());
    about.extend([0; 2]);
    Some(about)
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
    let mut table = [0_u32; 256];
    for (byte, sum) in (0_u32..).zip(&mut table) {
        *sum = (0..8).fold(byte, step);
    }
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        let place = usize::from(crc.to_le_bytes()[0] ^ byte);
        table.get(place).copied().unwrap_or_default() ^ (crc >> 8)
    });
    !crc
}

/// The head of a mail.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) subject: &'a str,
    pub(super) body: &'a str,
}

/// A mail with attachments (RFC 5322, MIME).
pub(super) fn eml(head: &Head<'_>, entries: &[Entry<'_>]) -> Vec<u8> {
    const EDGE: &str = "part-of-the-transfer";
    let mut mail = String::new();
    let Head {
        from,
        to,
        subject,
        body,
    } = head;
    let subject = base64(subject.as_bytes());
    // Writing to a text cannot fail.
    let _ = write!(
        mail,
        "From: {from}\r\nTo: {to}\r\nSubject: =?utf-8?B?{subject}?=\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"{EDGE}\"\r\n\r\n\
         --{EDGE}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{body}\r\n"
    );
    for (name, content) in entries {
        let name: String = name
            .chars()
            .filter(|c| !c.is_control() && *c != '"')
            .collect();
        let _ = write!(
            mail,
            "--{EDGE}\r\nContent-Type: application/octet-stream\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n"
        );
        // A line of a mail has 76 letters.
        for line in content.chunks(57) {
            mail.push_str(&base64(line));
            mail.push_str("\r\n");
        }
    }
    let _ = write!(mail, "--{EDGE}--\r\n");
    mail.into_bytes()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let missing = 3 - group.len();
        let bits = (0..missing).fold(bits, |bits, _| bits << 8);
        for place in 0..4 - missing {
            let shift = u32::try_from(18 - 6 * place).unwrap_or_default();
            let letter = usize::try_from(bits >> shift & 63).unwrap_or_default();
            text.push(LETTERS.get(letter).copied().map_or('=', char::from));
        }
        text.extend((0..missing).map(|_| '='));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_letters_are_those_of_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        for (bytes, expect) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expect);
        }
    }

    #[test]
    fn the_end_of_an_archive_says_where_its_directory_is() {
        let archive = zip(&[("ä.txt", b"abc"), ("b", b"")]).unwrap();
        let end = &archive[archive.len() - 22..];
        assert_eq!(&end[8..12], [2, 0, 2, 0]);
        let place = u32::from_le_bytes(end[16..20].try_into().unwrap());
        assert_eq!(
            &archive[usize::try_from(place).unwrap()..][..4],
            b"PK\x01\x02"
        );
    }
}
