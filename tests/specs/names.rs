//! The names of a spec's rules and invariants, read from its syntax tree, and whether a text mentions one.

use allium_parser::Span;
use allium_parser::ast::{AnnotationKind, BlockItem, BlockItemKind, BlockKind, Decl, Ident, Module};

/// A rule or an invariant.
pub struct Named {
    /// What it is.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub span: Span,
}

/// Every rule and invariant of a spec, those inside entities and contracts included.
pub fn of(module: &Module) -> Vec<Named> {
    let mut found = Vec::new();
    for declaration in &module.declarations {
        match declaration {
            Decl::Invariant(invariant) => found.push(named("invariant", &invariant.name)),
            Decl::Variant(variant) => of_items(&variant.items, &mut found),
            Decl::Block(block) => {
                if let (BlockKind::Rule, Some(name)) = (block.kind, &block.name) {
                    found.push(named("rule", name));
                }
                if let (BlockKind::Invariant, Some(name)) = (block.kind, &block.name) {
                    found.push(named("invariant", name));
                }
                of_items(&block.items, &mut found);
            }
            Decl::Use(_) | Decl::Default(_) | Decl::Deferred(_) | Decl::OpenQuestion(_) => {}
        }
    }
    found
}

fn of_items(items: &[BlockItem], found: &mut Vec<Named>) {
    for item in items {
        match &item.kind {
            BlockItemKind::InvariantBlock { name, .. } => found.push(named("invariant", name)),
            BlockItemKind::Annotation(annotation) => {
                if let (AnnotationKind::Invariant, Some(name)) = (&annotation.kind, &annotation.name) {
                    found.push(named("invariant", name));
                }
            }
            _ => {}
        }
    }
}

fn named(kind: &'static str, name: &Ident) -> Named {
    Named { kind, name: name.name.clone(), span: name.span }
}

/// Whether `text` has the name as a word, or in snake case within a longer name. A name of one word must stand
/// there as it is: in snake case it would be any word.
pub fn is_mentioned(name: &str, text: &str) -> bool {
    let snake = snake_case(name);
    has_word(text, name, |c| c.is_alphanumeric() || c == '_')
        || (snake.contains('_') && has_word(text, &snake, char::is_alphanumeric))
}

fn has_word(text: &str, word: &str, continues: impl Fn(char) -> bool) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(&continues) && !after.is_some_and(&continues)
    })
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[test]
fn a_name_is_mentioned_as_a_word_or_in_snake_case() {
    assert!(is_mentioned("SealStripe", "// Rule: SealStripe."));
    assert!(is_mentioned("SealStripe", "fn we_seal_stripe_early()"));
    assert!(!is_mentioned("SealStripe", "SealStripes unseal_stripe"));
    assert!(!is_mentioned("Seal", "fn seal()"));
}

#[test]
fn names_are_read_from_every_place_a_spec_has_them() {
    let text = "-- allium: 3\n\nentity Box {\n    size: Integer\n    invariant Fits { this.size > 0 }\n}\n\n\
                rule Close {\n    when: Closing(box)\n    ensures: Closed(box)\n}\n\n\
                invariant AllFit {\n    for box in Boxes: box.size > 0\n}\n";
    let parsed = allium_parser::parse(text);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let names: Vec<_> =
        of(&parsed.module).into_iter().map(|named| format!("{} {}", named.kind, named.name)).collect();
    assert_eq!(names, ["invariant Fits", "rule Close", "invariant AllFit"]);
}
