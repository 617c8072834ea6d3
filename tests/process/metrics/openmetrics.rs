//! OpenMetrics text, read strictly and by hand: whatever the format does not allow, or that no metric here has any use
//! for, is an error. Shares nothing with what writes it.

use std::collections::{BTreeMap, BTreeSet};

/// One metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub unit: String,
    pub help: String,
    pub samples: Vec<Sample>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Every family, in the text's order.
pub fn parse(text: &str) -> Result<Vec<Family>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut families: Vec<Family> = Vec::new();
    for line in body.split_terminator('\n') {
        let read = match line.strip_prefix("# ") {
            Some(comment) => take_comment(&mut families, comment),
            None => parse_sample(line).and_then(|sample| match families.last_mut() {
                Some(family) => family.take(sample),
                None => Err("it is of no family".to_owned()),
            }),
        };
        read.map_err(|error| format!("{line:?}: {error}"))?;
    }
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("# EOF is not a line of its own".to_owned());
    }
    families.iter().try_for_each(Family::check)?;
    let names: BTreeSet<&String> = families.iter().map(|family| &family.name).collect();
    if names.len() < families.len() {
        return Err("a family comes twice".to_owned());
    }
    Ok(families)
}

fn take_comment(families: &mut Vec<Family>, comment: &str) -> Result<(), String> {
    let mut words = comment.splitn(3, ' ');
    let (Some(what), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err("a comment of three parts is wanted".to_owned());
    };
    if !is_name(name) {
        return Err(format!("{name:?} is not a name"));
    }
    if families.last().is_none_or(|family| family.name != name) {
        families.push(Family { name: name.to_owned(), ..Family::default() });
    }
    let family = families.last_mut().expect("it was put there");
    if !family.samples.is_empty() {
        return Err("it comes after samples".to_owned());
    }
    let place = match what {
        "HELP" => &mut family.help,
        "TYPE" => &mut family.kind,
        "UNIT" => &mut family.unit,
        _ => return Err(format!("{what} is nothing that the format has")),
    };
    if !place.is_empty() {
        return Err("it is said twice".to_owned());
    }
    value.clone_into(place);
    Ok(())
}

fn parse_sample(line: &str) -> Result<Sample, String> {
    let name_end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            let (value, after) = parse_text(after)?;
            if !is_name(label) || label.contains(':') {
                return Err(format!("{label:?} is not a label"));
            }
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("{label} is there twice"));
            }
            if let Some(end) = after.strip_prefix('}') {
                rest = end;
                break;
            }
            rest = after.strip_prefix(',').ok_or("labels are not apart")?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no value")?;
    // No metric here has a time or an exemplar.
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().map_err(|_| "not a number")? };
    if !is_name(name) {
        return Err(format!("{name:?} is not a name"));
    }
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// The text up to the closing quote, and what is behind that.
fn parse_text(from: &str) -> Result<(String, &str), String> {
    let mut text = String::new();
    let mut letters = from.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((text, &from[at + 1..])),
            '\\' => text.push(match letters.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped @ ('\\' | '"'))) => escaped,
                _ => return Err("an escape that there is not".to_owned()),
            }),
            other => text.push(other),
        }
    }
    Err("a text without an end".to_owned())
}

fn is_name(name: &str) -> bool {
    let letter = |at: usize, letter: char| {
        letter.is_ascii_alphabetic() || "_:".contains(letter) || (at > 0 && letter.is_ascii_digit())
    };
    !name.is_empty() && name.chars().enumerate().all(|(at, found)| letter(at, found))
}

impl Family {
    fn take(&mut self, sample: Sample) -> Result<(), String> {
        let suffixes: &[&str] = match self.kind.as_str() {
            "gauge" => &[""],
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            other => return Err(format!("a sample of a {other:?}")),
        };
        let suffix = sample.name.strip_prefix(&self.name).filter(|suffix| suffixes.contains(suffix));
        let Some(suffix) = suffix else {
            return Err(format!("a {} {} has no such sample", self.kind, self.name));
        };
        let right = match (self.kind.as_str(), suffix) {
            ("info", _) => sample.value == 1.0,
            ("histogram", "_bucket" | "_count") => sample.value >= 0.0 && sample.value.fract() == 0.0,
            ("counter" | "histogram", _) => sample.value >= 0.0 && sample.value.is_finite(),
            _ => !sample.value.is_nan(),
        };
        if !right || sample.labels.contains_key("le") != (suffix == "_bucket") {
            return Err(format!("not what a {} says", self.kind));
        }
        let same = |other: &Sample| other.name == sample.name && other.labels == sample.labels;
        if self.samples.iter().any(same) {
            return Err("it is there twice".to_owned());
        }
        self.samples.push(sample);
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let Family { name, kind, unit, help, .. } = self;
        if kind.is_empty() || help.is_empty() {
            return Err(format!("{name} lacks its type or its help"));
        }
        if !unit.is_empty() && !name.ends_with(&format!("_{unit}")) {
            return Err(format!("{name} is not named by its unit {unit}"));
        }
        if kind == "histogram" { self.check_histograms() } else { Ok(()) }
    }

    fn check_histograms(&self) -> Result<(), String> {
        let mut by_labels: BTreeMap<BTreeMap<String, String>, Vec<&Sample>> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            by_labels.entry(labels).or_default().push(sample);
        }
        for (labels, samples) in by_labels {
            let of = |suffix: &str| {
                let name = format!("{}{suffix}", self.name);
                samples.iter().filter(move |sample| sample.name == name)
            };
            let bound = |sample: &Sample| match sample.labels["le"].as_str() {
                "+Inf" => f64::INFINITY,
                le => le.parse().unwrap_or(f64::NAN),
            };
            let buckets: Vec<(f64, f64)> =
                of("_bucket").map(|sample| (bound(sample), sample.value)).collect();
            let rise = buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
            let last = buckets.last().copied();
            let count = of("_count").next().map(|sample| (f64::INFINITY, sample.value));
            if !rise || count.is_none() || last != count || of("_sum").count() != 1 {
                return Err(format!("{} of {labels:?} is not a histogram: {samples:?}", self.name));
            }
        }
        Ok(())
    }
}

#[test]
fn what_the_format_does_not_allow_is_refused() {
    let gauge = "# HELP a Help\n# TYPE a gauge\n";
    let histogram = "# HELP h_s Help\n# TYPE h_s histogram\n# UNIT h_s s\n";
    let right = [
        "# EOF\n".to_owned(),
        format!("{gauge}a 1\n# EOF\n"),
        format!("{gauge}a{{b=\"x\\\"\\n\\\\,}}\",c=\"\"}} -1.5e3\n# EOF\n"),
        "# HELP c Help\n# TYPE c counter\nc_total 7\n# EOF\n".to_owned(),
        format!(
            "{histogram}h_s_sum 3.0\nh_s_count 2\nh_s_bucket{{le=\"1.0\"}} 1\nh_s_bucket{{le=\"+Inf\"}} 2\n# EOF\n"
        ),
    ];
    for text in &right {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
    }
    let labels = &parse(&right[2]).expect("it was read above")[0].samples[0].labels;
    assert_eq!(labels["b"], "x\"\n\\,}");
    let wrong = [
        format!("{gauge}a 1\n"),
        format!("{gauge}a 1\n# EOF\n\n"),
        format!("{gauge}a 1\n\n# EOF\n"),
        format!("{gauge}a 1# EOF\n"),
        format!("{gauge}a\n# EOF\n"),
        format!("{gauge}a one\n# EOF\n"),
        format!("{gauge}a 1 1700000000\n# EOF\n"),
        format!("{gauge}a_total 1\n# EOF\n"),
        format!("{gauge}a 1\na 2\n# EOF\n"),
        format!("{gauge}a{{b=\"1\",b=\"2\"}} 1\n# EOF\n"),
        format!("{gauge}a{{b=\"1\" c=\"2\"}} 1\n# EOF\n"),
        format!("{gauge}a{{b=\"\\t\"}} 1\n# EOF\n"),
        format!("{gauge}a{{2=\"1\"}} 1\n# EOF\n"),
        format!("{gauge}a 1\n# UNIT a s\n# EOF\n"),
        format!("{gauge}# UNIT a s\na 1\n# EOF\n"),
        format!("{gauge}a 1\n{gauge}a{{b=\"1\"}} 1\n# EOF\n"),
        format!("{gauge}{gauge}a 1\n# EOF\n"),
        "# TYPE a gauge\na 1\n# EOF\n".to_owned(),
        "a 1\n# EOF\n".to_owned(),
        "# HELP c Help\n# TYPE c counter\nc 7\n# EOF\n".to_owned(),
        "# HELP c Help\n# TYPE c counter\nc_total -7\n# EOF\n".to_owned(),
        "# HELP i Help\n# TYPE i info\ni_info{b=\"c\"} 2\n# EOF\n".to_owned(),
        right[4].replace("h_s_count 2", "h_s_count 3"),
        right[4].replace("} 1\n", "} 3\n"),
        right[4].replace("h_s_bucket{le=\"+Inf\"} 2\n", ""),
        right[4].replace("h_s_sum 3.0\n", ""),
    ];
    for text in &wrong {
        assert!(parse(text).is_err(), "it is read:\n{text}");
    }
}
