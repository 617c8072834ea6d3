//! Commands that ask a running cluster, by the HTTP interface of `engine/http`: whatever a replica answers there,
//! `curl` gets, too.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | which replica is asked, and what became of it |
//! | `status.rs` | `status` |
//! | `events.rs` | `submit` |
//! | `entity.rs` | `get` |
//! | `outcomes.rs` | `tail` |
//! | `leadership.rs` | `transfer-leadership` |
//! | `latency.rs` | `latency` |
//! | `divergence.rs` | `divergence show` |

mod divergence;
mod entity;
mod events;
mod latency;
mod leadership;
mod outcomes;
mod status;

use std::io::Read;
use std::time::Duration;

use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

pub(crate) use divergence::divergence;
pub(crate) use entity::get;
pub(crate) use events::submit;
pub(crate) use latency::latency;
pub(crate) use leadership::transfer_leadership;
pub(crate) use outcomes::tail;
pub(crate) use status::status;

use crate::cli::Where;
use crate::exit::Ended;

/// Replicas, in the order in which they are asked.
pub(crate) struct Cluster {
    agent: Agent,
    addresses: Vec<String>,
}

impl Cluster {
    /// Any of those that the command line names. What is read as a stream has no limit of time.
    pub(crate) fn at(at: &Where, within: Option<Duration>) -> Result<Cluster, Ended> {
        if let Some(address) = at.http.iter().find(|address| !is_address(address)) {
            return Err(Ended::Usage(format!(
                "--http {address}: accepted is HOST:PORT, such as localhost:7600"
            )));
        }
        let config = Agent::config_builder()
            // What a replica says is told in its words, whatever its status.
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECTED_WITHIN))
            .timeout_global(within)
            .user_agent(concat!("assizectl/", env!("CARGO_PKG_VERSION")));
        Ok(Cluster { agent: config.build().new_agent(), addresses: at.http.clone() })
    }

    /// The first answer to a GET.
    fn get(&self, path: &str) -> Result<Response<Body>, Ended> {
        self.ask(|agent, address| agent.get(format!("http://{address}{path}")).call())
    }

    /// The first answer to a POST of JSON. Only who was not reached is passed over: an event that may have been taken
    /// in is not given to another.
    fn post(&self, path: &str, body: &[u8]) -> Result<Response<Body>, Ended> {
        self.ask(|agent, address| {
            agent.post(format!("http://{address}{path}")).content_type("application/json").send(body)
        })
    }

    fn ask(
        &self,
        ask: impl Fn(&Agent, &str) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Ended> {
        let mut said = Vec::new();
        for address in &self.addresses {
            match ask(&self.agent, address) {
                Ok(response) => return Ok(response),
                Err(error) => {
                    let reached = is_reached(&error);
                    said.push((address.clone(), error.to_string()));
                    if reached {
                        break;
                    }
                }
            }
        }
        Err(Ended::Unanswered(said))
    }

    /// The JSON document at a path.
    pub(crate) fn document(&self, path: &str) -> Result<Value, Ended> {
        read_document(self.get(path)?)
    }
}

/// The JSON document of an answer; a problem document is the error that it tells of.
fn read_document(mut response: Response<Body>) -> Result<Value, Ended> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(DOCUMENT_BYTES_MAX).reader();
    let document = serde_json::from_reader::<_, Value>(body);
    match document {
        Ok(document) if status < 300 => Ok(document),
        Ok(problem) => Err(problem_of(status, &problem)),
        Err(error) => {
            let text = format!("status {status}, and no JSON: {error}");
            Err(Ended::Problem { status, text, document: Value::Null })
        }
    }
}

/// RFC 9457: what it is, and what to do.
fn problem_of(status: u16, problem: &Value) -> Ended {
    let member = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let mut text = format!("{}: {}", member("title"), member("detail"));
    if !problem["oldest"].is_null() {
        text.push_str(&format!(" (oldest {})", shown(&problem["oldest"])));
    }
    Ended::Problem { status, text, document: problem.clone() }
}

/// A value as people read it: a text without quotes.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text as part of a path.
fn in_path(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn is_address(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !text.contains('/')
}

/// Whether the replica may have taken something in.
fn is_reached(error: &ureq::Error) -> bool {
    !matches!(error, ureq::Error::ConnectionFailed | ureq::Error::HostNotFound) && !is_refused(error)
}

fn is_refused(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
        || matches!(error, ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve))
}

/// A body as it comes.
fn stream(response: Response<Body>) -> impl Read {
    response.into_body().into_reader()
}

const CONNECTED_WITHIN: Duration = Duration::from_secs(3);

/// A replica gives up on what it answers before that, and says so.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// A status of 64 shards with all their buckets has less than a megabyte.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (text, is) in
            [("a:1", true), ("[::1]:7600", true), (":1", false), ("a", false), ("http://a:1", false)]
        {
            assert_eq!(is_address(text), is, "{text}");
        }
    }

    #[test]
    fn a_name_stays_one_part_of_a_path() {
        assert_eq!(in_path("item:1:7"), "item:1:7");
        assert_eq!(in_path("a/b?c=ü"), "a%2Fb%3Fc%3D%C3%BC");
    }

    // UnreachedPassedOver, SilenceIsNoAnswer.
    #[test]
    fn only_who_was_not_reached_is_passed_over() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("its address").to_string();
        // It takes the request in and goes away without a word.
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = silent.accept().expect("somebody asks");
            stream.read(&mut [0; 1]).map(drop)
        });
        let nobody = "127.0.0.1:1".to_owned();
        let at = Where { http: vec![nobody.clone(), address.clone(), nobody.clone()] };
        let error = Cluster::at(&at, Some(ANSWERED_WITHIN)).expect("addresses").post("/v1/events", b"{}");
        let Err(Ended::Unanswered(said)) = error else { panic!("{error:?}") };
        let asked: Vec<&str> = said.iter().map(|(address, _)| address.as_str()).collect();
        assert_eq!(asked, [&nobody, &address], "{said:?}");
        serving.join().expect("no panic").expect("a byte of the request");
    }

    #[test]
    fn a_problem_is_told_in_its_words() {
        let problem = serde_json::json!({"status": 410, "title": "Outcomes gone", "detail": "later", "oldest": "7.0.0"});
        let ended = problem_of(410, &problem);
        assert_eq!(ended.to_string(), "Outcomes gone: later (oldest 7.0.0)");
        assert_eq!(ended.exit(), crate::exit::Exit::No);
        assert_eq!(ended.document()["problem"], problem);
    }
}
