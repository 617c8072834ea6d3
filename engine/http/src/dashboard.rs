//! `GET /` and `/assets/...`: the live dashboard. Its files are part of the program, and it asks `/v1/cluster` alone.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::Problem;

/// The page itself.
const PAGE: Asset = Asset { name: "", kind: HTML, text: include_str!("../assets/index.html") };

/// What it is made of, at `/assets/` and its name.
const ASSETS: &[Asset] = &[
    Asset { name: "style.css", kind: CSS, text: include_str!("../assets/style.css") },
    Asset { name: "icon.svg", kind: SVG, text: include_str!("../assets/icon.svg") },
    script("charts.js", include_str!("../assets/charts.js")),
    script("chronicle.js", include_str!("../assets/chronicle.js")),
    script("dom.js", include_str!("../assets/dom.js")),
    script("format.js", include_str!("../assets/format.js")),
    script("histogram.js", include_str!("../assets/histogram.js")),
    script("main.js", include_str!("../assets/main.js")),
    script("model.js", include_str!("../assets/model.js")),
    script("notices.js", include_str!("../assets/notices.js")),
    script("poll.js", include_str!("../assets/poll.js")),
    script("scale.js", include_str!("../assets/scale.js")),
    script("states.js", include_str!("../assets/states.js")),
    script("view_disks.js", include_str!("../assets/view_disks.js")),
    script("view_domains.js", include_str!("../assets/view_domains.js")),
    script("view_load.js", include_str!("../assets/view_load.js")),
    script("view_replicas.js", include_str!("../assets/view_replicas.js")),
    script("view_shards.js", include_str!("../assets/view_shards.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// With every answer. Nothing comes from elsewhere, and nobody frames it; what is kept is asked for again each time,
/// which costs a 304, so that a page and its parts are always of one program.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

/// One file.
#[derive(Clone, Copy, Debug)]
struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const fn script(name: &'static str, text: &'static str) -> Asset {
    Asset { name, kind: SCRIPT, text }
}

/// `GET /`.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    PAGE.answer(&headers)
}

/// `GET /assets/{name}`.
pub(crate) async fn asset(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    let Path(name) = match name {
        Ok(name) => name,
        Err(error) => return Problem::malformed(error.body_text()).into_response(),
    };
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => asset.answer(&headers),
        None => Problem::no_such_path(&format!("/assets/{name}")).into_response(),
    }
}

impl Asset {
    /// The file, or that it is still what the browser has.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let tag = self.tag();
        let has = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let tagged = [(header::ETAG, tag.clone())];
        if has.flat_map(|value| value.split(',')).any(|value| value.trim().trim_start_matches("W/") == tag) {
            return (StatusCode::NOT_MODIFIED, HEADERS, tagged).into_response();
        }
        (HEADERS, tagged, [(header::CONTENT_TYPE, self.kind)], self.text).into_response()
    }

    /// Another one for another text.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(asset: &Asset, tag: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(tag) = tag {
            headers.insert(header::IF_NONE_MATCH, tag.parse().unwrap());
        }
        asset.answer(&headers)
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = answer(&PAGE, None);
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], HTML);
        let tag = first.headers()[header::ETAG].to_str().unwrap();
        for has in [tag, &format!("\"other\", W/{tag}")] {
            let again = answer(&PAGE, Some(has));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{has}");
            assert_eq!(again.headers()[header::ETAG], tag);
        }
        assert_eq!(answer(&PAGE, Some("\"other\"")).status(), StatusCode::OK);
        assert_ne!(ASSETS[0].tag(), tag);
    }

    /// Each file names what it needs, all of it is served, and nothing is served that nobody needs.
    #[test]
    fn the_page_has_all_its_parts_and_nothing_from_elsewhere() {
        let mut missing: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        for asset in ASSETS.iter().chain([&PAGE]) {
            let paths = asset.text.split(['"', '\'']).filter_map(|word| {
                word.strip_prefix("/assets/")
                    .or_else(|| word.strip_prefix("./").filter(|word| word.ends_with(".js")))
            });
            for path in paths {
                assert!(ASSETS.iter().any(|other| other.name == path), "{} needs {path}", asset.name);
                missing.retain(|name| *name != path);
            }
            // A namespace is a name, and other replicas' addresses come from the one that serves this.
            let elsewhere = asset.text.replace("http://www.w3.org/2000/svg", "").replace("http://${", "");
            assert!(!elsewhere.contains("://"), "{} names another server", asset.name);
        }
        assert_eq!(missing, [""; 0], "nobody needs them");
    }

    #[test]
    fn the_policy_lets_nothing_in_from_elsewhere() {
        let policy =
            answer(&PAGE, None).headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(!PAGE.text.contains(" style=") && !PAGE.text.contains(" onclick="), "the policy forbids it");
    }
}
