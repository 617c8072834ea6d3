//! The page as steps: what it has in blocks, and what stands before them.

/// Something that the page says to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Write a file: the paragraph before the block ends with its name in backticks and a colon.
    File { path: String, text: String },
    /// Run commands; what they print is compared with the block of text that follows, if one does.
    Run { script: String, output: Option<String> },
    /// Run a command in a terminal of its own, until it is stopped.
    Demo { script: String },
    /// Stop it with Ctrl-C.
    Interrupt { output: Option<String> },
}

/// All steps, in order.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut prose = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            prose.push_str(line);
            prose.push('\n');
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = block.join("\n") + "\n";
        if prose.contains("with Ctrl-C") {
            steps.push(Step::Interrupt { output: None });
        }
        match language {
            "rust" | "toml" => steps.push(Step::File { path: named(&prose), text }),
            "sh" if prose.contains("terminal of its own") => steps.push(Step::Demo { script: text }),
            "sh" => steps.push(Step::Run { script: text, output: None }),
            // Only right behind what prints it; elsewhere it is an example.
            "text" => match steps.last_mut() {
                Some(Step::Run { output, .. }) if prose.trim().is_empty() => *output = Some(text),
                Some(Step::Interrupt { output }) => *output = Some(text),
                _ => {}
            },
            other => panic!("a block of '{other}': accepted are rust, toml, sh and text"),
        }
        prose.clear();
    }
    steps
}

/// The file that a paragraph ends with.
fn named(prose: &str) -> String {
    let name = prose.trim_end().strip_suffix("`:").and_then(|before| before.rsplit('`').next());
    name.unwrap_or_else(|| panic!("no file is named before a block: {prose}")).to_owned()
}

/// Whether this was printed, where `...` stands for anything.
pub fn matches(shown: &str, printed: &str) -> bool {
    let parts: Vec<&str> = shown.split("...").collect();
    let [first, between @ ..] = &parts[..] else { return shown == printed };
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    let Some((last, between)) = between.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_page_is_read_as_its_steps() {
    let page = "# A\n\nIn `src/a.rs`:\n\n```rust\nfn a() {}\n```\n\nIn a terminal of its own:\n\n```sh\nserve\n```\n\nNow\n\n\
                ```sh\nask\n```\n\n```text\nb ...\n```\n\nAn example:\n\n```text\nc\n```\n\nStop with Ctrl-C.\n\n\
                ```text\nd\n```\n";
    let text = |text: &str| text.to_owned();
    assert_eq!(
        steps(page),
        [
            Step::File { path: text("src/a.rs"), text: text("fn a() {}\n") },
            Step::Demo { script: text("serve\n") },
            Step::Run { script: text("ask\n"), output: Some(text("b ...\n")) },
            Step::Interrupt { output: Some(text("d\n")) },
        ]
    );
}

#[test]
fn what_is_printed_is_what_is_shown_but_for_what_is_another_each_time() {
    assert!(matches("a\n", "a\n") && matches("a ... c ...\n", "a b c d\n") && matches("...c\n", "a\nb c\n"));
    assert!(!matches("a\n", "a\nb\n") && !matches("a ... c\n", "a b d\n") && !matches("b ...\n", "a b c\n"));
    assert!(!matches("a ...b... a\n", "a\n"));
}
