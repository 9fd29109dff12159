//! The formats: whatever text goes in reads back as it was, with a reader that
//! is not ours; and whatever `Accept` says, the answer has a name.

use cryptshare_exporter::{
    exposition::{Coding, Escaping, Family, Format, Protocol, Sample, Value, coding, negotiate},
    metric::Kind,
};
use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderValue},
};

/// A HELP text and the values of labels.
pub fn escaping(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let number = Value::Number(f64::from(u16::try_from(data.len() % 1000).unwrap()));
    let labels = || [("a", text.as_str()), ("b", "")];
    let histogram = Value::Histogram {
        buckets: vec![(0.5, 1)],
        sum: 0.25,
        count: 2,
    };
    let family = |name: &'static str, kind, value| Family {
        name: name.into(),
        help: text.clone().into(),
        kind,
        samples: vec![Sample::new(labels(), value)],
    };
    let families = [
        family("g_bytes", Kind::Gauge, number.clone()),
        family("c_total", Kind::Counter, number.clone()),
        family("i_info", Kind::Info, Value::Count(1)),
        family("h_seconds", Kind::Histogram, histogram),
    ];
    for protocol in [Protocol::Text, Protocol::OpenMetrics1] {
        let mut body = Vec::new();
        protocol.write(&families, &mut body);
        let body = std::str::from_utf8(&body).unwrap();
        let (helps, samples) = read(body, protocol);
        assert_eq!(helps, [text.as_str(); 4]);
        assert_eq!(samples.len(), 3 + 4);
        for (_, labels) in samples {
            let plain: Vec<_> = labels.iter().filter(|(name, _)| name != "le").collect();
            assert_eq!(plain.len(), 2);
            assert_eq!((plain[0].0.as_str(), &plain[0].1), ("a", &text));
            assert_eq!((plain[1].0.as_str(), plain[1].1.as_str()), ("b", ""));
        }
    }
}

/// The values of `Accept`, one a line, and the same as those of
/// `Accept-Encoding`.
pub fn accept(data: &[u8]) {
    let values: Vec<_> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let mut request = HeaderMap::new();
    for value in &values {
        request.append(ACCEPT, value.clone());
        request.append(ACCEPT_ENCODING, value.clone());
    }
    let format = negotiate(&request);
    let known = Protocol::ALL.into_iter().flat_map(|protocol| {
        let ways = Escaping::ALL.map(Some).into_iter().chain([None]);
        ways.map(move |escaping| Format { protocol, escaping })
    });
    assert!(
        known
            .into_iter()
            .any(|f| f.content_type() == format.content_type())
    );
    let text = String::from_utf8_lossy(data).to_ascii_lowercase();
    let names = ["openmetrics-text", "vnd.google.protobuf", "*"];
    if !names.iter().any(|name| text.contains(name)) {
        assert_eq!(format.protocol, Protocol::Text);
    }
    if !text.contains("escaping") {
        assert_eq!(format.escaping, None);
    }
    let coded = coding(&request);
    let names = ["gzip", "identity", "*"];
    if !names.iter().any(|name| text.contains(name)) {
        assert_eq!(coded, Coding::Identity);
    }
    request.append(ACCEPT_ENCODING, HeaderValue::from_static("br, ;, zstd;q=1"));
    assert_eq!(coding(&request), coded);
    // What nobody here can write changes nothing.
    request.append(
        ACCEPT,
        HeaderValue::from_static("image/png, ;, text/html;q=1"),
    );
    assert_eq!(negotiate(&request), format);
}

type Labels = Vec<(String, String)>;

/// The HELP texts and the samples of a body. Any line that is none of the
/// format's panics.
fn read(body: &str, protocol: Protocol) -> (Vec<String>, Vec<(String, Labels)>) {
    let quotes_help = protocol != Protocol::Text;
    let (mut helps, mut samples) = (Vec::new(), Vec::new());
    for line in body.strip_suffix('\n').unwrap().split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (_, text) = rest.split_once(' ').unwrap();
            helps.push(unescaped(text, quotes_help));
        } else if line.starts_with("# TYPE ") || line.starts_with("# UNIT ") {
            assert_eq!(line.split(' ').count(), 4, "{line:?}");
        } else {
            samples.push(sample(line));
        }
    }
    (helps, samples)
}

fn sample(line: &str) -> (String, Labels) {
    let (name, mut rest) = line.split_once('{').unwrap();
    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let mut labels = Labels::new();
    while let Some((name, value)) = rest.split_once("=\"") {
        let end = closing_quote(value);
        let (value, tail) = value.split_at(end);
        labels.push((name.to_owned(), unescaped(value, true)));
        rest = tail.strip_prefix('"').unwrap();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    let number = rest.strip_prefix("} ").unwrap();
    number.parse::<f64>().unwrap();
    (name.to_owned(), labels)
}

/// Where the first quote stands that no backslash hides.
fn closing_quote(text: &str) -> usize {
    let mut hidden = false;
    let mut ends = text.char_indices().filter(|(_, c)| {
        let ends = *c == '"' && !hidden;
        hidden = *c == '\\' && !hidden;
        ends
    });
    ends.next().unwrap().0
}

/// Takes the escapes out; a bare quote, where it must be escaped, panics.
fn unescaped(text: &str, quotes: bool) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('\\') => '\\',
                Some('"') if quotes => '"',
                other => panic!("an unknown escape {other:?}"),
            },
            '"' if quotes => panic!("a bare quote"),
            other => other,
        });
    }
    plain
}
