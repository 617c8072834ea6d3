//! What was published, followed by HTTP: each answered event once, in order, whatever happens to the connection, the
//! process, its core map or the replica that was asked. Names in comments are those of `outcomes.allium`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use assize_inventory::InventoryEvent;
use assize_tools::client::{AnswerOwned, Client, NewEvent};
use assize_wire::EventKey;
use assize_wire::outcome::Status;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::cluster::{Cluster, Running};
use crate::engine::{DEADLINE, Engine};
use crate::faces::{ask, ask_until};
use crate::load::{adjust, inventory, item_of};
use crate::site::{Settings, Site};

/// An outcome as it was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub position: String,
    place: (u64, u64, u64),
    text: String,
}

impl Row {
    fn parse(text: &str) -> Row {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let number = |field: &str| value[field].as_u64().unwrap_or_else(|| panic!("{field} of {text}"));
        let place = (number("slot"), number("shard"), number("index"));
        let position = value["position"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned();
        assert_eq!(position, format!("{}.{}.{}", place.0, place.1, place.2));
        Row { position, place, text: text.to_owned() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("it was parsed before")
    }
}

/// A connection on which outcomes come.
pub struct Feed {
    reader: BufReader<TcpStream>,
    events: bool,
    /// The last id, of an event or of a sign of life.
    id: String,
}

/// What comes.
#[derive(Debug)]
enum Came {
    Row(Row),
    /// Why nothing more does.
    Problem(Value),
    End,
}

impl Feed {
    /// Server-sent events behind a position, as a browser asks for them that was there before.
    fn events(engine: &Engine, after: &str) -> Feed {
        let headers = format!("accept: text/event-stream\r\nlast-event-id: {after}\r\n");
        Feed::open(engine, "/v1/outcomes?from=oldest", &headers, None)
    }

    fn lines(engine: &Engine, query: &str) -> Feed {
        Feed::open(engine, &format!("/v1/outcomes?{query}"), "", None)
    }

    /// Answers of HTTP 1.0 come as they are, and end with the connection.
    fn open(engine: &Engine, path: &str, headers: &str, buffer: Option<usize>) -> Feed {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).expect("a small buffer");
        }
        let address: std::net::SocketAddr = engine.http().parse().expect("an address");
        socket.connect(&address.into()).expect("connecting");
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
        write!(stream, "GET {path} HTTP/1.0\r\nhost: assize\r\n{headers}\r\n").expect("asking");
        let mut feed =
            Feed { reader: BufReader::new(stream), events: !headers.is_empty(), id: String::new() };
        let head: Vec<String> =
            std::iter::from_fn(|| feed.line()).take_while(|line| !line.is_empty()).collect();
        let kind = if feed.events { "text/event-stream" } else { "application/x-ndjson" };
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(head.iter().any(|line| *line == format!("content-type: {kind}")), "{head:?}");
        feed
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).expect("a line in time");
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn next(&mut self) -> Came {
        match self.events {
            true => self.next_event(),
            false => self.line().map_or(Came::End, |line| {
                let value: Value =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                match value.get("problem") {
                    Some(problem) => Came::Problem(problem.clone()),
                    None => Came::Row(Row::parse(&line)),
                }
            }),
        }
    }

    fn next_event(&mut self) -> Came {
        let (mut data, mut kind) = (None, String::new());
        while let Some(line) = self.line() {
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.id),
                Some(("data", text)) => data = Some(text.to_owned()),
                Some(("event", text)) => text.clone_into(&mut kind),
                Some(("", _comment)) => {}
                Some(other) => panic!("{other:?} is no field of an event"),
                None if line.is_empty() => match data.take() {
                    Some(text) if kind == "problem" => {
                        return Came::Problem(serde_json::from_str(&text).expect("a problem"));
                    }
                    Some(text) => {
                        let row = Row::parse(&text);
                        assert_eq!(row.position, self.id, "its id is where it is");
                        return Came::Row(row);
                    }
                    None => {}
                },
                None => panic!("{line:?} is no field of an event"),
            }
        }
        Came::End
    }

    fn rows(&mut self, count: usize) -> Vec<Row> {
        let row = |_| match self.next() {
            Came::Row(row) => row,
            other => panic!("an outcome was to come, and not {other:?}"),
        };
        (0..count).map(row).collect()
    }

    /// Everything to its end.
    fn all(&mut self) -> (Vec<Row>, Option<Value>) {
        let mut rows = Vec::new();
        loop {
            match self.next() {
                Came::Row(row) => rows.push(row),
                Came::Problem(problem) => {
                    assert!(matches!(self.next(), Came::End));
                    return (rows, Some(problem));
                }
                Came::End => return (rows, None),
            }
        }
    }
}

/// Events under keys that this test knows, and what they were answered.
#[derive(Default)]
struct Sent {
    answers: BTreeMap<u128, AnswerOwned>,
    events: Vec<NewEvent>,
    duplicates: usize,
}

impl Sent {
    /// Sends so many new events, of which some are rejected, and then some of them again.
    fn send(&mut self, client: &mut Client, count: u64) {
        let events = self.send_once(client, count);
        let again: Vec<NewEvent> = events.into_iter().step_by(17).collect();
        let answers = client.submit(&again).expect("answers");
        assert!(answers.iter().all(|answer| answer.status == Status::Duplicate));
        self.duplicates += again.len();
    }

    fn send_once(&mut self, client: &mut Client, count: u64) -> Vec<NewEvent> {
        let first = self.events.len() as u64 + 1;
        let event = |number: u64| {
            let (source, destination) = (item_of(number % 50), item_of(1_000 + number % 7));
            let event = match number % 3 {
                0 => inventory(&InventoryEvent::Transfer { source, destination, quantity: 2 }),
                _ => adjust(number % 50, 1),
            };
            NewEvent { key: Some(EventKey(number.into())), ..event }
        };
        let events: Vec<NewEvent> = (first..first + count).map(event).collect();
        for answer in events.iter().zip(client.submit(&events).expect("answers")) {
            let (event, answer) = answer;
            assert_ne!(answer.status, Status::Duplicate);
            self.answers.insert(event.key.expect("a key").0, answer);
        }
        self.events.extend(events.iter().cloned());
        events
    }

    fn rows(&self) -> usize {
        self.events.len() + self.duplicates
    }

    /// Each answer is there once, as it was given, where it was said to be; what was sent again names the first one;
    /// and all is in order.
    fn check(&self, rows: &[Row]) {
        assert!(rows.windows(2).all(|two| two[0].place < two[1].place), "they are not in order");
        let (mut found, mut duplicates) = (0, 0);
        for row in rows {
            let value = row.json();
            let key =
                value["key"].as_str().and_then(|key| u128::from_str_radix(key, 16).ok()).expect("a key");
            let answer = self.answers.get(&key).unwrap_or_else(|| panic!("nobody sent {}", row.text));
            let position = answer.position;
            let at = format!("{}.{}.{}", position.slot, position.shard, position.index);
            if value["status"] == "duplicate" {
                assert_eq!(value["original"].as_str(), Some(at.as_str()), "{}", row.text);
                assert_eq!(value["first_status"].as_str(), Some(answer.first_status.to_string().as_str()));
                duplicates += 1;
                continue;
            }
            found += 1;
            assert_eq!(row.position, at);
            assert_eq!(value["status"].as_str(), Some(answer.status.to_string().as_str()), "{}", row.text);
            assert_eq!(
                value["reason"].as_u64().unwrap_or_default(),
                u64::from(answer.reason),
                "{}",
                row.text
            );
            assert_eq!(value["domain"].as_str(), Some("inventory"), "{}", row.text);
            let bytes = STANDARD.encode(&answer.response);
            assert_eq!(value["response_bytes"].as_str(), Some(bytes.as_str()), "{}", row.text);
            let said = !value["response"].is_null();
            assert_eq!(said, !bytes.is_empty(), "the domain says what it returned: {}", row.text);
        }
        assert_eq!((found, duplicates), (self.answers.len(), self.duplicates));
    }
}

fn started(site: &Site) -> Engine {
    let engine = site.start();
    ask_until(&engine, "/readyz", |answer| answer.status == 200);
    engine
}

/// OutcomeGiven, SubscriberBegins: followed live in both forms, read again from the beginning, and from places between.
#[test]
fn l9_every_answered_event_is_given_out_once_and_in_order() {
    let site = Site::formatted(Settings { cores: vec![vec![0], vec![1]], ..Settings::small() });
    let engine = started(&site);
    let mut feeds = [Feed::events(&engine, "now"), Feed::lines(&engine, "")];
    let (mut client, mut sent) = (engine.client(), Sent::default());
    for _ in 0..3 {
        sent.send(&mut client, 300);
    }
    let [events, lines] = feeds.each_mut().map(|feed| feed.rows(sent.rows()));
    sent.check(&events);
    assert_eq!(events, lines);
    // What is published now, and no more.
    let all = Feed::lines(&engine, "from=oldest&follow=false").all();
    assert_eq!(all, (events.clone(), None));
    assert_eq!(Feed::lines(&engine, "from=0&limit=7").all(), (events[..7].to_vec(), None));
    // Cut off, and gone on with from the last position, again and again.
    let (mut rows, mut after) = (Vec::new(), "0".to_owned());
    for count in [1, 1, 2, 128, 300] {
        let mut feed = Feed::events(&engine, &after);
        rows.extend(feed.rows(count));
        assert_eq!(feed.id, rows[rows.len() - 1].position);
        after = feed.id;
    }
    rows.extend(Feed::lines(&engine, &format!("from={after}&follow=false")).all().0);
    assert_eq!(rows, events);
    // A place ahead of what is published is waited for; a slot alone stands for its end.
    let last = events[events.len() - 1].place.0;
    assert_eq!(Feed::lines(&engine, &format!("from={last}&follow=false")).all(), (Vec::new(), None));
    let mut ahead = Feed::lines(&engine, &format!("from={}.0.0", last + 2));
    for _ in 0..4 {
        sent.send(&mut client, 20);
    }
    let next = ahead.rows(1)[0].place;
    assert!(next > (last + 2, 0, 0), "{next:?} after slot {last}");
    // What a subscriber was told before it saw an outcome is where it goes on.
    let mut quiet = Feed::events(&engine, "now");
    sent.send(&mut client, 3);
    let first = quiet.rows(1);
    assert_eq!(Feed::events(&engine, &first[0].position).rows(3).len(), 3);
    engine.stop();
}

#[test]
fn what_is_no_position_is_refused_in_words() {
    let site = Site::formatted(Settings::small());
    let engine = started(&site);
    for query in ["from=-1", "from=1.2", "from=newest", "limit=x", "form=1", "follow=perhaps"] {
        let answer = ask(&engine, "GET", &format!("/v1/outcomes?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
        let says_what_is = query.starts_with("form") || answer.body.contains("accepted");
        assert!(says_what_is, "{query}: {}", answer.body);
    }
    engine.stop();
}

/// OutcomeGiven, KeptFromKnown: kill -9 in the middle, and starts on other core maps. Outcomes lie in logs of cores
/// that are gone, and in those of cores that come back.
#[test]
fn l9_a_subscriber_goes_on_after_a_kill_whatever_the_core_map() {
    let mut maps = Settings::on_each_core_map().to_vec();
    maps.push(maps[0].clone());
    let mut site = Site::formatted(maps[0].clone());
    let (mut sent, mut rows, mut after) = (Sent::default(), Vec::new(), "0".to_owned());
    for (at, map) in maps.iter().enumerate() {
        site.settings = map.clone();
        let engine = started(&site);
        let mut feed = Feed::events(&engine, &after);
        sent.send(&mut engine.client(), 4_000);
        // The last ones are not taken before the kill: they come after it.
        let count = sent.rows() - rows.len() - 100 * usize::from(at < maps.len() - 1);
        rows.extend(feed.rows(count));
        feed.id.clone_into(&mut after);
        engine.kill();
    }
    sent.check(&rows);
    let engine = started(&site);
    assert!(engine.said().contains("starting from the checkpoint after this slot"), "{}", engine.said());
    assert_eq!(Feed::lines(&engine, "from=oldest&follow=false").all(), (rows, None));
    engine.stop();
}

/// SubscriberBehind, SubscriberTooLate: what is given up is never passed over in silence. A subscriber that does not
/// read is told when its place is gone, and from where on everything is there.
#[test]
fn l9_a_place_that_is_not_kept_any_more_is_said_to_be_gone() {
    let site = Site::new(Settings::with_checkpoints(vec![vec![0], vec![1]]));
    site.format(&["--warden-ttl", "3s", "--warden-capacity", "256Ki", "--entity-capacity", "4Ki"]);
    let engine = started(&site);
    let (mut client, mut sent) = (engine.client(), Sent::default());
    let headers = "accept: text/event-stream\r\n";
    let mut slow = Feed::open(&engine, "/v1/outcomes?from=0", headers, Some(4096));
    // Nothing is sent again here: keys live for so short a time that it might be another event by then.
    sent.send_once(&mut client, 100);
    let mut rows = slow.rows(10);
    let first = rows[0].position.clone();
    let until = Instant::now() + 4 * DEADLINE;
    while [1, 5].iter().any(|log| first_segment(&site, *log) < GIVEN_UP) {
        assert!(Instant::now() < until, "nothing is given up:\n{}", engine.said());
        sent.send_once(&mut client, 2_000);
    }
    let answer = ask(&engine, "GET", &format!("/v1/outcomes?from={first}"));
    assert_eq!(answer.status, 410, "{}", answer.body);
    let oldest = answer.json()["oldest"].as_str().expect("where to go on").to_owned();
    let (more, problem) = slow.all();
    rows.extend(more);
    let problem = problem.expect("it was too late");
    assert_eq!(problem["status"].as_u64(), Some(410), "{problem}");
    // Without a gap as far as it came, and from the oldest on.
    let mut all: Vec<(u64, u64, u64)> = sent
        .answers
        .values()
        .map(|answer| {
            let at = answer.position;
            (at.slot.0, at.shard.0.into(), at.index.into())
        })
        .collect();
    all.sort_unstable();
    let places = |rows: &[Row]| -> Vec<_> { rows.iter().map(|row| row.place).collect() };
    assert_eq!(places(&rows), all[..places(&rows).len()]);
    let begin = problem["oldest"].as_str().and_then(|oldest| oldest.parse::<u64>().ok()).expect("a slot");
    assert!(begin > rows[rows.len() - 1].place.0, "{begin} after {:?}", rows[rows.len() - 1].place);
    let (kept, end) = Feed::lines(&engine, &format!("from={oldest}&follow=false")).all();
    assert_eq!(end, None);
    let oldest: u64 = oldest.parse().expect("a slot");
    let from = all.partition_point(|place| place.0 <= oldest);
    assert_eq!(places(&kept), all[from..]);
    // A start knows it as well, and never less than is kept by right.
    engine.kill();
    let engine = started(&site);
    assert_eq!(ask(&engine, "GET", &format!("/v1/outcomes?from={first}")).status, 410);
    let (again, _) = Feed::lines(&engine, "from=oldest&follow=false").all();
    assert!(!again.is_empty() && kept.ends_with(&again), "{} of {} are kept", again.len(), kept.len());
    engine.stop();
}

/// Segments that are given up before a place at the beginning is surely gone.
const GIVEN_UP: u64 = 4;

fn first_segment(site: &Site, log: u32) -> u64 {
    let names = std::fs::read_dir(site.data().join(format!("log-{log:05}"))).expect("a log");
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = names.filter_map(|name| u64::from_str_radix(name.strip_prefix("segment-")?, 16).ok());
    numbers.min().expect("a segment")
}

/// OutcomeGiven: every replica gives the same, so a subscriber goes on at another one.
#[test]
fn l9_three_replicas_give_the_same_stream() {
    let cluster = Cluster::formatted();
    let mut running = Running::start(&cluster);
    let mut sent = Sent::default();
    sent.send(&mut cluster.client(), 1_000);
    let leader = cluster.leader();
    let mut rows = Vec::new();
    let mut at = leader;
    for count in [300, 400, 200] {
        ask_until(running.engine(at), "/readyz", |answer| answer.status == 200);
        let after = rows.last().map_or("0".to_owned(), |row: &Row| row.position.clone());
        rows.extend(Feed::events(running.engine(at), &after).rows(count));
        at = (at + 1) % 3;
    }
    running.kill(leader);
    sent.send(&mut cluster.client(), 500);
    running.spawn(leader);
    running.wait_until_serving();
    let after = rows[rows.len() - 1].position.clone();
    let rest = sent.rows() - rows.len();
    rows.extend(Feed::lines(running.engine((leader + 1) % 3), &format!("from={after}")).rows(rest));
    sent.check(&rows);
    for replica in 0..3 {
        ask_until(running.engine(replica), "/readyz", |answer| answer.status == 200);
        assert_eq!(
            Feed::lines(running.engine(replica), "from=0").rows(rows.len()),
            rows,
            "replica {replica}"
        );
    }
}
