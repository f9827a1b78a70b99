//! A shell script as a tree.

use std::sync::Arc;

/// A word with its expansions still to be made.
pub(super) type Word = Vec<Part>;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// What stands in single quotes, or after a backslash: never split, never a pattern.
    Quoted(String),
    /// `$NAME` or the inside of `${…}`; whether it stood in double quotes.
    Variable(String, bool),
    /// The inside of `$(…)`.
    Command(String, bool),
    /// The inside of `$((…))`.
    Number(String),
}

/// Where a stream goes to or comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    In(Word),
    /// A text in the script itself; with a line end where it is one word.
    Here(Word),
    Out {
        fd: u8,
        append: bool,
        target: Word,
    },
    /// One stream goes where the other goes.
    Same {
        fd: u8,
        as_fd: u8,
    },
}

/// A command, simple or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Simple {
        assigns: Vec<(String, Word)>,
        words: Vec<Word>,
        redirects: Vec<Redirect>,
    },
    Pipe(Vec<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    List(Vec<Self>),
    If {
        arms: Vec<(Self, Self)>,
        otherwise: Option<Box<Self>>,
    },
    Loop {
        until: bool,
        condition: Box<Self>,
        body: Box<Self>,
    },
    For {
        name: String,
        words: Vec<Word>,
        body: Box<Self>,
    },
    Case {
        subject: Word,
        arms: Vec<(Vec<Word>, Self)>,
    },
    Function {
        name: String,
        body: Arc<Self>,
    },
    /// `{ …; }` or `( … )`, and any other compound with redirections.
    Group {
        body: Box<Self>,
        redirects: Vec<Redirect>,
        apart: bool,
    },
    /// `(( … ))`.
    Arithmetic(String),
}
