//! `_snippets/FORMAT.j2`: configurations for DHCP servers that stand already.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::Files;

/// A template's steps; a snippet has a few thousand lines.
const FUEL: u64 = 5_000_000;

/// The formats that there are templates for.
pub fn formats(files: &Files) -> Vec<String> {
    let names = files.0.keys().filter_map(|path| {
        let name = path.strip_prefix("_snippets/")?.strip_suffix(".j2")?;
        (!name.contains('/')).then(|| name.to_owned())
    });
    names.collect()
}

/// Writes what `about` holds in a format; the error is the template's, with its line.
pub fn render(files: &Files, format: &str, about: &serde_json::Value) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.set_fuel(Some(FUEL));
    for (path, bytes) in &files.0 {
        if let Some(name) = path.strip_prefix("_snippets/") {
            let source = String::from_utf8_lossy(bytes).into_owned();
            environment
                .add_template_owned(name.to_owned(), source)
                .map_err(|error| error.to_string())?;
        }
    }
    let template = environment.get_template(&format!("{format}.j2"));
    let template = template.map_err(|error| error.to_string())?;
    template
        .render(Serde(about))
        .map_err(|error| error.to_string())
}
