//! The shell: runs a script's tree on a unit.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::story::Story;
use super::super::unit::Unit;
use super::arith;
use super::ast::{Node, Redirect, Word};
use super::parse::parse;
use super::variables::Variables;

/// The most commands of one script; more is a loop that never waits.
const MOST: u32 = 200_000;
/// The most lines of messages that are kept.
const MESSAGES: usize = 100;
/// The most octets of a word, a stream or a file.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;
/// The most functions and scripts within each other.
const DEEPEST: u32 = 30;

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Ended {
    With(i32),
    /// A program of it restarted the unit.
    Reload,
    /// The unit stopped it: its configuration ends the asking.
    Stopped,
    /// The power was cut.
    Cut,
    /// Nobody waits any longer.
    Left,
    /// It cannot be played: why.
    Confused(String),
}

/// What a command does to the commands after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    Exit(i32),
    Return(i32),
    Break,
    Continue,
}

/// Why a script stops at once.
pub(super) enum Stop {
    Reload,
    Ended,
    Cut,
    Left,
    Confused(String),
}

pub(super) type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, Stop>> + Send + 'a>>;

/// The streams of a command.
#[derive(Default)]
pub(super) struct Streams {
    pub(super) input: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) messages: Vec<u8>,
}

/// A shell on a unit, with what one script knows.
pub(in super::super) struct Shell<'u> {
    pub(super) unit: &'u mut Unit,
    pub(super) story: &'u mut Story,
    pub(super) began: Timestamp,
    pub(super) variables: Variables,
    pub(super) exported: BTreeSet<String>,
    pub(super) functions: BTreeMap<String, Arc<Node>>,
    pub(super) arguments: Vec<String>,
    pub(super) name: String,
    /// Values that `local` hides, a frame for each function.
    pub(super) hidden: Vec<BTreeMap<String, Option<String>>>,
    pub(super) at_exit: String,
    pub(super) exits_on_error: bool,
    pub(super) pipes_fail: bool,
    pub(super) status: i32,
    pub(super) steps: u32,
    pub(super) depth: u32,
    /// The command that runs now is a question.
    pub(super) asked: bool,
}

impl<'u> Shell<'u> {
    pub(in super::super) fn new(unit: &'u mut Unit, story: &'u mut Story) -> Self {
        let began = unit.now();
        Self {
            unit,
            story,
            began,
            variables: Variables::default(),
            exported: BTreeSet::new(),
            functions: BTreeMap::new(),
            arguments: Vec::new(),
            name: "bash".to_owned(),
            hidden: Vec::new(),
            at_exit: String::new(),
            exits_on_error: false,
            pipes_fail: false,
            status: 0,
            steps: 0,
            depth: 0,
            asked: false,
        }
    }

    /// Runs a whole script as a process of its own.
    pub(in super::super) async fn play(&mut self, text: &str) -> Ended {
        let mut streams = Streams::default();
        let ended = self.process(text, &mut streams).await;
        self.say(&streams.messages);
        match ended {
            Ok(code) => Ended::With(code),
            Err(Stop::Reload) => Ended::Reload,
            Err(Stop::Ended) => Ended::Stopped,
            Err(Stop::Cut) => Ended::Cut,
            Err(Stop::Left) => Ended::Left,
            Err(Stop::Confused(why)) => Ended::Confused(why),
        }
    }

    /// Runs one program by its words: its exit code and what it wrote.
    pub(in super::super) async fn program_of(
        &mut self,
        words: &[String],
        input: Vec<u8>,
    ) -> Result<(i32, Vec<u8>), Ended> {
        let mut streams = Streams {
            input,
            ..Streams::default()
        };
        let Some((name, rest)) = words.split_first() else {
            return Ok((127, Vec::new()));
        };
        let called = self.call(name, rest, &mut streams).await;
        self.say(&streams.messages);
        match called {
            Ok(_) => Ok((self.status, streams.out)),
            Err(Stop::Reload) => Err(Ended::Reload),
            Err(Stop::Ended) => Err(Ended::Stopped),
            Err(Stop::Cut) => Err(Ended::Cut),
            Err(Stop::Left) => Err(Ended::Left),
            Err(Stop::Confused(why)) => Err(Ended::Confused(why)),
        }
    }

    /// Keeps what a script says to people; each line once.
    pub(super) fn say(&mut self, messages: &[u8]) {
        let text = String::from_utf8_lossy(messages);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let known = self.story.notes.iter().any(|note| note == line);
            if !known && self.story.notes.len() < MESSAGES {
                self.story.notes.push(line.to_owned());
            }
        }
    }

    /// Runs a text as a process: its exit code. Its trap runs, and what it set is gone.
    pub(super) fn process<'a>(
        &'a mut self,
        text: &'a str,
        streams: &'a mut Streams,
    ) -> Step<'a, i32> {
        Box::pin(async move {
            let tree = parse(text).map_err(Stop::Confused)?;
            let mut kept = self.variables.clone();
            kept.retain(|name| self.exported.contains(name));
            let variables = std::mem::replace(&mut self.variables, kept);
            let exported = self.exported.clone();
            let functions = std::mem::take(&mut self.functions);
            let hidden = std::mem::take(&mut self.hidden);
            let at_exit = std::mem::take(&mut self.at_exit);
            let modes = (self.exits_on_error, self.pipes_fail);
            (self.exits_on_error, self.pipes_fail) = (false, false);
            let code = self.ended(&tree, streams).await;
            self.variables = variables;
            self.exported = exported;
            self.functions = functions;
            self.hidden = hidden;
            self.at_exit = at_exit;
            (self.exits_on_error, self.pipes_fail) = modes;
            code
        })
    }

    /// Runs a tree to its end, and then its trap.
    async fn ended(&mut self, tree: &Node, streams: &mut Streams) -> Result<i32, Stop> {
        self.deeper()?;
        let flow = self.run(tree, streams, false).await?;
        self.depth = self.depth.saturating_sub(1);
        let mut code = match flow {
            Flow::Exit(code) | Flow::Return(code) => code,
            Flow::On | Flow::Break | Flow::Continue => self.status,
        };
        let trap = std::mem::take(&mut self.at_exit);
        if !trap.is_empty() {
            self.status = code;
            let tree = parse(&trap).map_err(Stop::Confused)?;
            if let Flow::Exit(own) = self.run(&tree, streams, false).await? {
                code = own;
            }
        }
        self.status = code;
        Ok(code)
    }

    pub(super) fn deeper(&mut self) -> Result<(), Stop> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Stop::Confused(
                "scripts within scripts without end".to_owned(),
            ));
        }
        Ok(())
    }

    /// Runs a node. `asked` is set where its failure is a question and no error.
    pub(super) fn run<'a>(
        &'a mut self,
        node: &'a Node,
        streams: &'a mut Streams,
        asked: bool,
    ) -> Step<'a, Flow> {
        Box::pin(async move {
            self.steps += 1;
            if self.steps > MOST {
                return Err(Stop::Confused("it goes on without end".to_owned()));
            }
            if self.variables.is_full() {
                let why = "its variables hold more than a unit could".to_owned();
                return Err(Stop::Confused(why));
            }
            match node {
                Node::List(nodes) => {
                    for node in nodes {
                        let flow = self.run(node, streams, asked).await?;
                        if flow != Flow::On {
                            return Ok(flow);
                        }
                    }
                    if nodes.is_empty() {
                        self.status = 0;
                    }
                    Ok(Flow::On)
                }
                Node::And(left, right) | Node::Or(left, right) => {
                    let flow = self.run(left, streams, true).await?;
                    let goes_on = (self.status == 0) == matches!(node, Node::And(..));
                    if flow != Flow::On || !goes_on {
                        return Ok(flow);
                    }
                    self.run(right, streams, asked).await
                }
                Node::Not(inner) => {
                    let flow = self.run(inner, streams, true).await?;
                    self.status = i32::from(self.status == 0);
                    Ok(flow)
                }
                Node::Pipe(nodes) => self.pipe(nodes, streams, asked).await,
                Node::If { arms, otherwise } => {
                    for (condition, body) in arms {
                        let flow = self.run(condition, streams, true).await?;
                        if flow != Flow::On {
                            return Ok(flow);
                        }
                        if self.status == 0 {
                            return self.run(body, streams, asked).await;
                        }
                    }
                    self.status = 0;
                    match otherwise {
                        Some(body) => self.run(body, streams, asked).await,
                        None => Ok(Flow::On),
                    }
                }
                Node::Loop {
                    until,
                    condition,
                    body,
                } => {
                    let mut last = 0;
                    loop {
                        let flow = self.run(condition, streams, true).await?;
                        if flow != Flow::On {
                            return Ok(flow);
                        }
                        if (self.status == 0) == *until {
                            break;
                        }
                        match self.run(body, streams, asked).await? {
                            Flow::On | Flow::Continue => last = self.status,
                            Flow::Break => break,
                            flow @ (Flow::Exit(_) | Flow::Return(_)) => return Ok(flow),
                        }
                    }
                    self.status = last;
                    Ok(Flow::On)
                }
                Node::For { name, words, body } => {
                    for value in self.all(words).await? {
                        self.variables.insert(name.clone(), value);
                        match self.run(body, streams, asked).await? {
                            Flow::On | Flow::Continue => {}
                            Flow::Break => break,
                            flow @ (Flow::Exit(_) | Flow::Return(_)) => return Ok(flow),
                        }
                    }
                    Ok(Flow::On)
                }
                Node::Case { subject, arms } => {
                    let subject = self.one(subject).await?;
                    self.status = 0;
                    for (patterns, body) in arms {
                        for pattern in patterns {
                            if self.fits(&subject, pattern).await? {
                                return self.run(body, streams, asked).await;
                            }
                        }
                    }
                    Ok(Flow::On)
                }
                Node::Function { name, body } => {
                    self.functions.insert(name.clone(), Arc::clone(body));
                    self.status = 0;
                    Ok(Flow::On)
                }
                Node::Group {
                    body,
                    redirects,
                    apart,
                } => {
                    let kept = apart.then(|| (self.variables.clone(), self.functions.clone()));
                    let mut own = self.opened(redirects, streams).await?;
                    let flow = self.run(body, &mut own, asked).await?;
                    self.closed(redirects, own, streams).await?;
                    let Some((variables, functions)) = kept else {
                        return Ok(flow);
                    };
                    self.variables = variables;
                    self.functions = functions;
                    if let Flow::Exit(code) = flow {
                        self.status = code;
                    }
                    Ok(Flow::On)
                }
                Node::Arithmetic(source) => {
                    let value = arith::value(source, &mut self.variables);
                    self.status = i32::from(value.map_err(Stop::Confused)? == 0);
                    Ok(Flow::On)
                }
                Node::Simple {
                    assigns,
                    words,
                    redirects,
                } => {
                    self.asked = asked;
                    let flow = self.simple(assigns, words, redirects, streams).await?;
                    let fatal = self.exits_on_error && !asked && self.status != 0;
                    Ok(if flow == Flow::On && fatal {
                        Flow::Exit(self.status)
                    } else {
                        flow
                    })
                }
            }
        })
    }

    async fn pipe(
        &mut self,
        nodes: &[Node],
        streams: &mut Streams,
        asked: bool,
    ) -> Result<Flow, Stop> {
        let mut input = std::mem::take(&mut streams.input);
        let mut worst = 0;
        let (variables, functions) = (self.variables.clone(), self.functions.clone());
        for node in nodes {
            let mut own = Streams {
                input,
                ..Streams::default()
            };
            // Each part is a process of its own.
            if let Flow::Exit(code) = self.run(node, &mut own, true).await? {
                self.status = code;
            }
            if self.status != 0 {
                worst = self.status;
            }
            streams.messages.append(&mut own.messages);
            input = own.out;
        }
        self.variables = variables;
        self.functions = functions;
        streams.out.append(&mut input);
        if self.pipes_fail {
            self.status = worst;
        }
        let fatal = self.exits_on_error && !asked && self.status != 0;
        Ok(if fatal {
            Flow::Exit(self.status)
        } else {
            Flow::On
        })
    }

    async fn simple(
        &mut self,
        assigns: &[(String, Word)],
        words: &[Word],
        redirects: &[Redirect],
        streams: &mut Streams,
    ) -> Result<Flow, Stop> {
        let before = self.status;
        self.status = 0;
        let mut set = Vec::new();
        for (name, word) in assigns {
            self.status = before;
            let value = self.one(word).await?;
            set.push((name.clone(), value));
        }
        if !words.is_empty() || assigns.is_empty() {
            self.status = before;
        }
        let words = self.all(words).await?;
        let mut own = self.opened(redirects, streams).await?;
        let mut hidden = Vec::new();
        for (name, value) in set {
            let (name, value) = match name.strip_suffix('+') {
                Some(name) => (name.to_owned(), format!("{}{value}", self.variable(name))),
                None => (name, value),
            };
            let old = self.variables.insert(name.clone(), value);
            // Before a command an assignment is for that command only.
            if !words.is_empty() {
                hidden.push((name.clone(), old, self.exported.insert(name)));
            }
        }
        let flow = match words.split_first() {
            Some((name, rest)) => self.call(name, rest, &mut own).await?,
            None => Flow::On,
        };
        for (name, old, new) in hidden {
            if new {
                self.exported.remove(&name);
            }
            match old {
                Some(old) => self.variables.insert(name, old),
                None => self.variables.remove(&name),
            };
        }
        self.closed(redirects, own, streams).await?;
        Ok(flow)
    }

    /// The streams of a command with these redirections.
    async fn opened(
        &mut self,
        redirects: &[Redirect],
        streams: &mut Streams,
    ) -> Result<Streams, Stop> {
        let mut own = Streams {
            input: std::mem::take(&mut streams.input),
            ..Streams::default()
        };
        for redirect in redirects {
            match redirect {
                Redirect::In(word) => {
                    let name = self.one(word).await?;
                    own.input = self.file(&name).unwrap_or_default();
                }
                Redirect::Here(word) => own.input = self.one(word).await?.into_bytes(),
                Redirect::Out { .. } | Redirect::Same { .. } => {}
            }
        }
        Ok(own)
    }

    /// Puts what a command wrote to where its redirections say.
    async fn closed(
        &mut self,
        redirects: &[Redirect],
        own: Streams,
        streams: &mut Streams,
    ) -> Result<(), Stop> {
        let takes = |redirect: &Redirect| matches!(redirect, Redirect::In(_) | Redirect::Here(_));
        if !redirects.iter().any(takes) {
            streams.input = own.input;
        }
        // Where each of the two streams goes: a file, or a stream of the caller.
        let mut to: [Target; 2] = [Target::Stream(1), Target::Stream(2)];
        for redirect in redirects {
            match redirect {
                Redirect::Out { fd, append, target } => {
                    let name = self.one(target).await?;
                    let target = Target::File(name, *append);
                    match fd {
                        1 => to = [target, to[1].clone()],
                        2 => to = [to[0].clone(), target],
                        _ => to = [target.clone(), target],
                    }
                }
                Redirect::Same { fd: 2, as_fd: 1 } => to = [to[0].clone(), to[0].clone()],
                Redirect::Same { fd: 1, as_fd: 2 } => to = [to[1].clone(), to[1].clone()],
                Redirect::Same { .. } | Redirect::In(_) | Redirect::Here(_) => {}
            }
        }
        let [out, messages] = to;
        let both = out == messages;
        for (bytes, target, second) in [(own.out, out, false), (own.messages, messages, true)] {
            match target {
                Target::Stream(1) => streams.out.extend(bytes),
                Target::Stream(_) => streams.messages.extend(bytes),
                Target::File(name, append) => self.write(&name, bytes, append || (second && both)),
            }
        }
        if streams.out.len() > LARGEST {
            return Err(Stop::Confused("a stream without end".to_owned()));
        }
        Ok(())
    }

    /// A file of the unit.
    pub(super) fn file(&self, name: &str) -> Option<Vec<u8>> {
        if name == "/dev/null" {
            return Some(Vec::new());
        }
        if name == "/proc/uptime" {
            let up = self.unit.now().duration_since(self.began).as_secs();
            return Some(format!("{}.00 0.00\n", up.saturating_add(60)).into_bytes());
        }
        if let Some(bytes) = self.unit.flash.files.get(name) {
            return Some(bytes.clone());
        }
        let rules = self.unit.conduct.script.as_ref()?;
        let text = rules.files.get(name)?;
        Some(self.unit.filler.text(text).into_bytes())
    }

    pub(super) fn write(&mut self, name: &str, bytes: Vec<u8>, append: bool) {
        if name.starts_with("/dev/") {
            return;
        }
        let file = self.unit.flash.files.entry(name.to_owned()).or_default();
        if append {
            file.extend(bytes);
        } else {
            *file = bytes;
        }
        file.truncate(LARGEST);
    }

    pub(super) fn variable(&self, name: &str) -> String {
        self.variables.get(name).cloned().unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Target {
    Stream(u8),
    File(String, bool),
}
