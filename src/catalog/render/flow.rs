//! What templates do with each value, found in their syntax trees: which values they only write or ask
//! for, so that a file is the same around every text that such a value may have.
//!
//! A value is named by its path: `admin_user`, `unit.mac`, `lines[].user`. Names that a template makes
//! stand for the paths that they may come from, in all files and at any time. Whatever else is done with
//! a value (compared, cut, counted, handed to a filter or a macro) makes it used; in doubt it is.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::machinery::{ast, parse};
use minijinja::syntax::SyntaxConfig;

/// Lists of tables: how many rows there are is known of a file, what is in them may not be.
const LISTS: [&str; 2] = ["keys", "lines"];
/// Functions whose result holds none of the texts of a file.
const FUNCTIONS: [&str; 3] = ["dict", "namespace", "range"];
/// Walks until nothing new is found; more than any sound template takes.
const WALKS: usize = 32;
/// Paths that one value may come from, and how many parts each has.
const MOST: usize = 256;
const DEEP: usize = 3;

/// Paths that a template works on.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    paths: BTreeSet<String>,
    /// Something was not understood.
    all: bool,
}

impl Used {
    /// Whether a value is written, or asked whether it is there, and nothing else.
    pub(super) fn spares(&self, path: &str) -> bool {
        let within = |whole: &str, part: &str| {
            let rest = part.strip_prefix(whole);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let mut paths = self.paths.iter();
        !self.all && !paths.any(|used| within(used, path) || within(path, used))
    }
}

/// Walks the sources of a template and of all that it includes.
pub(super) fn of<'a>(sources: impl Iterator<Item = Option<&'a str>>) -> Used {
    let all = Used {
        all: true,
        ..Used::default()
    };
    let tree = |source: Option<&'a str>| parse(source?, "", SyntaxConfig::default()).ok();
    let Some(trees) = sources.map(tree).collect::<Option<Vec<_>>>() else {
        return all;
    };
    let mut walk = Walk::default();
    for _ in 0..WALKS {
        walk.grew = false;
        for tree in &trees {
            walk.statement(tree);
        }
        if !walk.grew || walk.used.all {
            return walk.used;
        }
    }
    all
}

type Paths = BTreeSet<String>;

#[derive(Default)]
struct Walk {
    used: Used,
    /// What a name that a template made may stand for.
    names: BTreeMap<String, Paths>,
    /// Names of imported templates.
    modules: BTreeSet<String>,
    /// Inside of text that becomes a value.
    captured: bool,
    grew: bool,
}

impl Walk {
    fn give_up(&mut self) {
        self.grew |= !self.used.all;
        self.used.all = true;
    }

    fn works_on(&mut self, paths: Paths) {
        for path in paths {
            self.grew |= self.used.paths.insert(path);
        }
    }

    fn name(&mut self, name: &str, paths: Paths) {
        if FUNCTIONS.contains(&name) {
            self.give_up();
        }
        let known = self.names.entry(name.to_owned()).or_default();
        for path in paths {
            self.grew |= known.insert(path);
        }
        if known.len() > MOST {
            self.give_up();
        }
    }

    fn statements(&mut self, all: &[ast::Stmt<'_>]) {
        for one in all {
            self.statement(one);
        }
    }

    fn statement(&mut self, statement: &ast::Stmt<'_>) {
        use ast::Stmt;
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => self.write(&emit.expr),
            Stmt::ForLoop(each) => {
                let paths = self.flow(&each.iter);
                let (lists, others) = split(paths);
                self.works_on(others);
                if let ast::Expr::Var(target) = &each.target {
                    self.name(target.id, items(&lists));
                } else {
                    self.works_on(lists);
                }
                if let Some(filter) = &each.filter_expr {
                    self.flow(filter);
                }
                self.statements(&each.body);
                self.statements(&each.else_body);
            }
            Stmt::IfCond(choice) => {
                self.flow(&choice.expr);
                self.statements(&choice.true_body);
                self.statements(&choice.false_body);
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.set(target, value);
                }
                self.statements(&with.body);
            }
            Stmt::Set(set) => self.set(&set.target, &set.expr),
            Stmt::SetBlock(set) => {
                if let Some(filter) = &set.filter {
                    self.work(filter);
                }
                self.capture(&set.body);
            }
            Stmt::FilterBlock(block) => {
                self.work(&block.filter);
                self.capture(&block.body);
            }
            Stmt::Block(block) => self.statements(&block.body),
            Stmt::Import(import) => {
                self.template(&import.expr);
                if let ast::Expr::Var(name) = &import.name {
                    self.grew |= self.modules.insert(name.id.to_owned());
                }
            }
            Stmt::FromImport(import) => {
                self.template(&import.expr);
                for (name, alias) in &import.names {
                    if let ast::Expr::Var(own) = name
                        && let ast::Expr::Var(alias) = alias.as_ref().unwrap_or(name)
                    {
                        let paths = self.of_name(own.id);
                        self.name(alias.id, paths);
                    }
                }
            }
            Stmt::Include(include) => {
                if self.captured {
                    self.give_up();
                }
                self.template(&include.name);
            }
            Stmt::Extends(extends) => self.template(&extends.name),
            Stmt::Macro(made) => {
                self.name(made.name, Paths::new());
                for default in &made.defaults {
                    self.work(default);
                }
                self.statements(&made.body);
            }
            Stmt::CallBlock(block) => {
                if self.captured {
                    self.give_up();
                }
                self.arguments(&block.call.args);
                self.statements(&block.macro_decl.body);
            }
            // What is written otherwise is not written as a hole is filled.
            Stmt::AutoEscape(_) | Stmt::Do(_) => self.give_up(),
        }
    }

    /// Text that becomes a value, or goes through a filter.
    fn capture(&mut self, body: &[ast::Stmt<'_>]) {
        let outer = std::mem::replace(&mut self.captured, true);
        self.statements(body);
        self.captured = outer;
    }

    /// Templates are found by their names' texts alone.
    fn template(&mut self, name: &ast::Expr<'_>) {
        if name.as_const().is_none() {
            self.give_up();
        }
    }

    fn set(&mut self, target: &ast::Expr<'_>, value: &ast::Expr<'_>) {
        if let (ast::Expr::Var(name), ast::Expr::Call(call)) = (target, value)
            && matches!(&call.expr, ast::Expr::Var(callee) if callee.id == "namespace")
        {
            for argument in &call.args {
                match argument {
                    ast::CallArg::Kwarg(field, value) => {
                        let paths = self.flow(value);
                        self.name(&format!("{}.{field}", name.id), paths);
                    }
                    ast::CallArg::Pos(value)
                    | ast::CallArg::PosSplat(value)
                    | ast::CallArg::KwargSplat(value) => self.work(value),
                }
            }
            return;
        }
        let paths = self.flow(value);
        if let ast::Expr::Var(name) = target {
            self.name(name.id, paths);
        } else if let ast::Expr::GetAttr(field) = target
            && let ast::Expr::Var(space) = &field.expr
        {
            self.name(&format!("{}.{}", space.id, field.name), paths);
        } else {
            self.works_on(paths);
        }
    }

    /// What `{{ }}` writes.
    fn write(&mut self, expr: &ast::Expr<'_>) {
        if self.captured {
            if let ast::Expr::Call(_) = expr {
                self.give_up();
            }
            return self.work(expr);
        }
        if let ast::Expr::Call(call) = expr {
            // A macro's text is written as it is. What it is given counts as used.
            self.work(&call.expr);
            self.arguments(&call.args);
        } else if let ast::Expr::IfExpr(choice) = expr {
            self.flow(&choice.test_expr);
            self.write(&choice.true_expr);
            if let Some(other) = &choice.false_expr {
                self.write(other);
            }
        } else {
            self.flow(expr);
        }
    }

    /// An expression whose value is worked on.
    fn work(&mut self, expr: &ast::Expr<'_>) {
        let paths = self.flow(expr);
        self.works_on(paths);
    }

    fn work_all<'a>(&mut self, all: impl IntoIterator<Item = &'a ast::Expr<'a>>) {
        for expr in all {
            self.work(expr);
        }
    }

    fn arguments(&mut self, all: &[ast::CallArg<'_>]) {
        for argument in all {
            match argument {
                ast::CallArg::Pos(value)
                | ast::CallArg::Kwarg(_, value)
                | ast::CallArg::PosSplat(value)
                | ast::CallArg::KwargSplat(value) => self.work(value),
            }
        }
    }

    fn of_name(&self, name: &str) -> Paths {
        let mut paths = self.names.get(name).cloned().unwrap_or_default();
        paths.insert(name.to_owned());
        paths
    }

    /// A part of what these paths are.
    fn part(&mut self, whole: Paths, name: &str) -> Paths {
        let mut parts = Paths::new();
        for path in whole {
            if path == "loop" {
                // The rows beside this one, of whatever list it is.
                if matches!(name, "nextitem" | "previtem") {
                    parts.extend(LISTS.iter().map(|list| format!("{list}[]")));
                }
                continue;
            }
            if self.modules.contains(&path) {
                parts.append(&mut self.of_name(name));
            }
            // Of a list a name is a number.
            let part = if LISTS.contains(&path.as_str()) {
                format!("{path}[]")
            } else if path.matches('.').count() < DEEP {
                format!("{path}.{name}")
            } else {
                path
            };
            parts.extend(self.names.get(&part).into_iter().flatten().cloned());
            parts.insert(part);
        }
        if parts.len() > MOST {
            self.give_up();
            parts.clear();
        }
        parts
    }

    /// What the value of an expression may be, where it is only handed on.
    fn flow(&mut self, expr: &ast::Expr<'_>) -> Paths {
        use ast::Expr;
        if self.used.all {
            return Paths::new();
        }
        match expr {
            Expr::Var(name) => self.of_name(name.id),
            Expr::Const(_) => Paths::new(),
            Expr::GetAttr(attribute) => {
                let whole = self.flow(&attribute.expr);
                self.part(whole, attribute.name)
            }
            Expr::GetItem(item) => {
                let whole = self.flow(&item.expr);
                if let Expr::Const(name) = &item.subscript_expr
                    && let Some(name) = name.value.as_str()
                {
                    return self.part(whole, name);
                }
                self.work(&item.subscript_expr);
                let (lists, others) = split(whole);
                self.works_on(others);
                items(&lists)
            }
            Expr::Slice(slice) => {
                let bounds = [&slice.start, &slice.stop, &slice.step];
                self.work_all(bounds.into_iter().flatten());
                let whole = self.flow(&slice.expr);
                self.lists_of(whole)
            }
            Expr::UnaryOp(unary) => {
                let paths = self.flow(&unary.expr);
                if let ast::UnaryOpKind::Neg = unary.op {
                    self.works_on(paths);
                }
                Paths::new()
            }
            Expr::BinOp(both) => self.of_both(both),
            Expr::Compare(compare) => {
                self.work(&compare.expr);
                self.work_all(compare.ops.iter().map(|op| &op.expr));
                Paths::new()
            }
            Expr::IfExpr(choice) => {
                self.flow(&choice.test_expr);
                let mut paths = self.flow(&choice.true_expr);
                if let Some(other) = &choice.false_expr {
                    paths.append(&mut self.flow(other));
                }
                paths
            }
            Expr::Filter(filter) => self.of_filter(filter),
            Expr::Test(test) => {
                let paths = self.flow(&test.expr);
                if !matches!(test.name, "defined" | "undefined") {
                    self.works_on(paths);
                    self.arguments(&test.args);
                }
                Paths::new()
            }
            Expr::Call(call) => {
                let known = matches!(&call.expr, Expr::Var(name) if FUNCTIONS.contains(&name.id));
                if !known {
                    // A macro may write whatever it sees, and this text is worked on.
                    self.give_up();
                }
                self.arguments(&call.args);
                Paths::new()
            }
            Expr::List(list) => {
                // A list of rows is a list of the same kind.
                let mut lists = Paths::new();
                for item in &list.items {
                    let paths = self.flow(item);
                    let (rows, others): (Paths, Paths) =
                        paths.into_iter().partition(|path| path.ends_with("[]"));
                    self.works_on(others);
                    let whole = |row: &String| row.trim_end_matches("[]").to_owned();
                    lists.extend(rows.iter().map(whole));
                }
                lists
            }
            Expr::Tuple(tuple) => {
                self.work_all(&tuple.items);
                Paths::new()
            }
            Expr::Map(map) => {
                self.work_all(map.keys.iter().chain(&map.values));
                Paths::new()
            }
        }
    }

    fn of_both(&mut self, both: &ast::BinOp<'_>) -> Paths {
        let mut paths = self.flow(&both.left);
        paths.append(&mut self.flow(&both.right));
        match both.op {
            ast::BinOpKind::ScAnd | ast::BinOpKind::ScOr => paths,
            // Texts side by side; of a table it would be all that is in it.
            ast::BinOpKind::Concat => {
                let tables = paths.iter().filter(|path| is_table(path)).cloned();
                let tables = tables.collect();
                self.works_on(tables);
                paths
            }
            ast::BinOpKind::Add => self.lists_of(paths),
            ast::BinOpKind::Div
            | ast::BinOpKind::Eq
            | ast::BinOpKind::FloorDiv
            | ast::BinOpKind::Gt
            | ast::BinOpKind::Gte
            | ast::BinOpKind::In
            | ast::BinOpKind::Lt
            | ast::BinOpKind::Lte
            | ast::BinOpKind::Mul
            | ast::BinOpKind::Ne
            | ast::BinOpKind::Pow
            | ast::BinOpKind::Rem
            | ast::BinOpKind::Sub => {
                self.works_on(paths);
                Paths::new()
            }
        }
    }

    fn of_filter(&mut self, filter: &ast::Filter<'_>) -> Paths {
        // Of a block's text it is known that it is worked on.
        let mut paths = match &filter.expr {
            Some(expr) => self.flow(expr),
            None => Paths::new(),
        };
        match (filter.name, filter.args.as_slice()) {
            ("default" | "d", [ast::CallArg::Pos(other), rest @ ..]) => {
                paths.append(&mut self.flow(other));
                self.arguments(rest);
                paths
            }
            ("default" | "d", []) => paths,
            ("list", []) => self.lists_of(paths),
            ("first" | "last", []) => items(&self.lists_of(paths)),
            ("length" | "count", []) => {
                self.lists_of(paths);
                Paths::new()
            }
            ("selectattr" | "rejectattr", [ast::CallArg::Pos(name), rest @ ..]) => {
                let lists = self.lists_of(paths);
                self.field(&lists, name);
                self.arguments(rest);
                lists
            }
            ("map", [ast::CallArg::Kwarg("attribute", name)]) => {
                let lists = self.lists_of(paths);
                self.field(&lists, name);
                Paths::new()
            }
            (_, arguments) => {
                self.works_on(paths);
                self.arguments(arguments);
                Paths::new()
            }
        }
    }

    /// One field of all rows is worked on.
    fn field(&mut self, lists: &Paths, name: &ast::Expr<'_>) {
        let used = if let ast::Expr::Const(name) = name
            && let Some(name) = name.value.as_str()
        {
            self.part(items(lists), name)
        } else {
            lists.clone()
        };
        self.works_on(used);
    }

    /// The lists among these; the others are worked on.
    fn lists_of(&mut self, paths: Paths) -> Paths {
        let (lists, others) = split(paths);
        self.works_on(others);
        lists
    }
}

/// Whether a path is no text; variables by themselves are texts where they are spared at all.
fn is_table(path: &str) -> bool {
    let tables = ["ca", "grant", "report", "unit", "url"];
    LISTS.contains(&path) || path.ends_with("[]") || tables.contains(&path)
}

/// Lists, and all others.
fn split(paths: Paths) -> (Paths, Paths) {
    let list = |path: &String| LISTS.contains(&path.as_str());
    paths.into_iter().partition(list)
}

/// The rows of these lists.
fn items(lists: &Paths) -> Paths {
    lists.iter().map(|list| format!("{list}[]")).collect()
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
