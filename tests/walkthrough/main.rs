//! The page that takes an author from an empty folder to three replicas of a domain of their own
//! (`engine/template/README.md`), carried out as it stands: its files are written to a folder outside of this
//! workspace, its commands are run there, and what they print is compared with what it shows.
//!
//! What is not as on the page: ports, which are free ones; and nothing is fetched, so that dependencies have the
//! versions that this workspace has.

mod page;
mod terminal;

#[path = "../tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use toml::Table;

use page::{Step, matches, steps};
use terminal::{Demo, run};

const TEMPLATE: &str = "engine/template";

/// Whoever reads the page and whoever reads the folder see the same.
#[test]
fn the_page_has_the_files_of_the_template() {
    let on_page: BTreeSet<(String, String)> = steps(&read_page())
        .into_iter()
        .filter_map(|step| match step {
            Step::File { path, text } => Some((path, text.replace("../assize/", "../../"))),
            _ => None,
        })
        .collect();
    let mut in_folder = BTreeSet::new();
    for ending in [".rs", ".toml"] {
        for source in tree::files(ending) {
            if let Some(path) = source.path.strip_prefix(&format!("{TEMPLATE}/")) {
                in_folder.insert((path.to_owned(), source.text));
            }
        }
    }
    let differ: BTreeSet<&str> =
        in_folder.symmetric_difference(&on_page).map(|(path, _)| path.as_str()).collect();
    assert!(differ.is_empty(), "{TEMPLATE}/README.md has other text than the folder of {differ:?}");
}

#[test]
fn an_empty_folder_becomes_three_replicas_of_a_domain_of_its_own() {
    let place = Place::new();
    let port = free_ports();
    let here = |text: &str| {
        (0..REPLICAS).fold(text.to_owned(), |text, replica| {
            text.replace(&(PAGE_PORT + replica).to_string(), &(port + replica).to_string())
        })
    };
    let mut demo: Option<Demo> = None;
    let mut differences: Vec<String> = Vec::new();
    for step in steps(&read_page()) {
        let (shown, printed) = match step {
            Step::File { path, text } => {
                place.write(&path, &text);
                continue;
            }
            Step::Demo { script } => {
                demo = Some(Demo::start(&here(&script), &place.folder));
                continue;
            }
            Step::Run { script, output } => (output, run(&here(&script), &place.folder)),
            Step::Interrupt { output } => {
                let demo = demo.take().expect("the page starts a demo before it is stopped");
                (output, demo.interrupt())
            }
        };
        // A terminal does not show whether the last line ends.
        let (shown, printed) = (shown.map(|shown| here(shown.trim_end())), printed.trim_end());
        if let Some(shown) = shown.filter(|shown| !matches(shown, printed)) {
            differences.push(format!("the page shows\n{shown}\n\nand this was printed\n{printed}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(demo.is_none(), "the page stops its demo");
}

fn read_page() -> String {
    let path = tree::top().join(TEMPLATE).join("README.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Two folders side by side: this repository, and the author's. Removed in the end.
struct Place {
    both: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn new() -> Place {
        // Not below this workspace, to which the crate would else belong; on a disk; and the same each time, so that
        // what was built before is built.
        let top = tree::top().canonicalize().expect("the top of the tree");
        let mut hasher = DefaultHasher::new();
        top.hash(&mut hasher);
        let both = Path::new("/var/tmp").join(format!("assize-walkthrough-{:016x}", hasher.finish()));
        // What a run left that was killed.
        let _ = fs::remove_dir_all(&both);
        fs::create_dir_all(&both).expect("a temporary folder");
        symlink(&top, both.join("assize")).expect("a link to the tree");
        let folder = both.join("vouchers");
        fs::create_dir(&folder).expect("the author's folder");
        // What is built for one build is built for all: in one place, from the same versions, in the same way.
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder of all that is built");
        symlink(built, folder.join("target")).expect("a link to what is built");
        fs::copy(top.join("Cargo.lock"), folder.join("Cargo.lock")).expect("the versions of this workspace");
        fs::create_dir(both.join(".cargo")).expect("a folder for the configuration");
        fs::write(both.join(".cargo/config.toml"), profiles(&top)).expect("the profiles of this workspace");
        Place { both, folder }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("below the author's folder")).expect("a folder for a file");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody needs it; the next run removes what is left.
        let _ = fs::remove_dir_all(&self.both);
    }
}

/// How this workspace builds what it depends on, for Cargo's configuration.
fn profiles(top: &Path) -> String {
    let manifest: Table =
        fs::read_to_string(top.join("Cargo.toml")).expect("the manifest").parse().expect("TOML");
    let dev = manifest["profile"]["dev"].clone();
    let profile = Table::from_iter([("dev".to_owned(), dev)]);
    Table::from_iter([("profile".to_owned(), profile.into())]).to_string()
}

/// The first of as many neighbouring ports as there are replicas, on which nothing listens.
fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = (FREE_FROM..).step_by(REPLICAS.into());
    first.into_iter().find(|first| (0..REPLICAS).all(|replica| free(first + replica))).expect("free ports")
}

const REPLICAS: u16 = 3;

/// Where the page has the first replica serve HTTP.
const PAGE_PORT: u16 = 7600;

/// Below the ports that the system gives to outgoing connections.
const FREE_FROM: u16 = 21_000;
