//! `--config FILE` of the tunnel's verbs: their options as TOML.
//!
//! ```text
//!  broker_ports = "9093-9192"   is   --broker-ports=9093-9192
//! ```
//!
//! Promises: whatever is an option is a key, with `_` for `-`, and takes the same; so there is one list of options and
//! one place that judges them. The command line counts before the file. All that is wrong with the file is said at
//! once, each with its line. Secrets may not stand in it.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::ValueHint;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::de::DeValue;

use super::tunnel::Hidden;
use crate::config::{Problem, Problems, Refusal, Text, article, nearest};

/// The id of the option that names the file.
pub(super) const ID: &str = "options_file";

/// `given`, the program's name first, with the options of the file that it names, if it names one.
pub(super) fn arguments(command: &Command, given: Vec<OsString>) -> Result<Vec<OsString>, Problems> {
    // What is wrong on the command line, and what is missing there, is not for this first look.
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&given) else { return Ok(given) };
    let (mut verb, mut said) = (command, &matches);
    while let Some((name, more)) = said.subcommand() {
        let Some(next) = verb.find_subcommand(name) else { return Ok(given) };
        (verb, said) = (next, more);
    }
    let Ok(Some(path)) = said.try_get_one::<PathBuf>(ID) else { return Ok(given) };
    let origin = path.display().to_string();
    let text = Text::of_file(path)?;
    let file = File { folder: path.parent().unwrap_or(Path::new("")), text: &text, origin: &origin };
    let (options, problems) = file.options(verb, said)?;
    file.judged(command, options, problems, given)
}

struct File<'a> {
    folder: &'a Path,
    text: &'a Text,
    origin: &'a str,
}

/// One key of the file as options.
struct Given {
    key: String,
    line: usize,
    arguments: Vec<OsString>,
}

impl File<'_> {
    /// What the file says, by the option's long name, and what of it is wrong by its form; not what the command line
    /// says already.
    fn options(&self, verb: &Command, said: &ArgMatches) -> Result<(BTreeMap<String, Given>, Vec<Problem>), Problems> {
        let root = self.text.root()?;
        let (mut options, mut problems) = (BTreeMap::new(), Vec::new());
        for (key, value) in root.get_ref() {
            let (line, name) = (self.text.line(&key.span()), key.get_ref().as_ref());
            match self.option(verb, name, value.get_ref()) {
                Err(refusal) => problems.push(self.problem(line, name, refusal)),
                Ok((option, _)) if on_the_command_line(verb, said, option) => {}
                Ok((option, arguments)) => {
                    let long = option.get_long().unwrap_or_default().to_owned();
                    options.insert(long, Given { key: name.to_owned(), line, arguments });
                }
            }
        }
        Ok((options, problems))
    }

    fn option<'v>(
        &self,
        verb: &'v Command,
        key: &str,
        value: &DeValue<'_>,
    ) -> Result<(&'v Arg, Vec<OsString>), Refusal> {
        let Some(option) = verb.get_arguments().find(|option| key_of(option).as_deref() == Some(key)) else {
            let all: Vec<String> =
                verb.get_arguments().filter(|option| !is_secret(option)).filter_map(key_of).collect();
            let remedy = match nearest(key, all.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here are {}", all.join(", ")),
            };
            return Err(Refusal::new("is not an option", remedy));
        };
        if is_secret(option) {
            let remedy = format!("put it into a file and write {key}_file = \"path\"");
            return Err(Refusal::new("secrets may not stand in this file", remedy));
        }
        let long = option.get_long().unwrap_or_default();
        let path = matches!(option.get_value_hint(), ValueHint::FilePath | ValueHint::DirPath);
        let argument = |text: &str| {
            let mut argument = OsString::from(format!("--{long}="));
            if path {
                argument.push(self.folder.join(text))
            } else {
                argument.push(text)
            }
            argument
        };
        let wrong = |wanted: &str| {
            let remedy = format!("`snowmelt {} --help` says what --{long} takes", verb.get_name());
            Err(Refusal::new(format!("is {}, not {wanted}", article(value)), remedy))
        };
        let many = matches!(option.get_action(), ArgAction::Append);
        let arguments = match (option.get_action(), value) {
            (ArgAction::SetTrue, DeValue::Boolean(true)) => vec![format!("--{long}").into()],
            (ArgAction::SetTrue, DeValue::Boolean(false)) => Vec::new(),
            (ArgAction::SetTrue, _) => return wrong("a boolean"),
            (_, DeValue::String(text)) => vec![argument(text)],
            (_, DeValue::Integer(number)) => vec![argument(number.as_str())],
            (_, DeValue::Array(items)) if many => {
                let text = |item: &toml::Spanned<DeValue<'_>>| match item.get_ref() {
                    DeValue::String(text) => Some(argument(text)),
                    _ => None,
                };
                match items.iter().map(text).collect() {
                    Some(arguments) => arguments,
                    None => return Err(Refusal::new("has an item that is not a string", "write strings only")),
                }
            }
            _ if many => return wrong("a string or an array of strings"),
            _ => return wrong("a string"),
        };
        Ok((option, arguments))
    }

    /// All arguments, if no value of the file is refused.
    fn judged(
        &self,
        command: &Command,
        mut options: BTreeMap<String, Given>,
        mut problems: Vec<Problem>,
        given: Vec<OsString>,
    ) -> Result<Vec<OsString>, Problems> {
        loop {
            let all: Vec<OsString> =
                given.iter().cloned().chain(options.values().flat_map(|option| option.arguments.clone())).collect();
            let refused = command.clone().try_get_matches_from(&all).err();
            // What the file is not to blame for is said by the parser itself, once the file is in order.
            let blamed = refused.and_then(|error| Some((options.remove(&blamed(&error)?)?, refusal(&error))));
            match blamed {
                Some((option, refusal)) => problems.push(self.problem(option.line, &option.key, refusal)),
                None if problems.is_empty() => return Ok(all),
                None => return Err(Problems::sorted(problems)),
            }
        }
    }

    fn problem(&self, line: usize, key: &str, refusal: Refusal) -> Problem {
        Problem {
            origin: self.origin.to_owned(),
            line: Some(line),
            setting: Some(key.to_owned()),
            reason: refusal.reason,
            remedy: refusal.remedy,
        }
    }
}

/// The key of an option, unless it is none of the file's.
fn key_of(option: &Arg) -> Option<String> {
    let theirs = option.get_id() != ID && !matches!(option.get_action(), ArgAction::Help | ArgAction::HelpLong);
    theirs.then(|| option.get_long().map(|long| long.replace('-', "_"))).flatten()
}

fn is_secret(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<Hidden>()
}

/// Whether the command line has the option, or one that goes instead of it.
fn on_the_command_line(verb: &Command, said: &ArgMatches, option: &Arg) -> bool {
    let typed = |option: &Arg| said.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine);
    // A conflict may be declared on either side.
    let instead = |other: &Arg| {
        verb.get_arg_conflicts_with(other).contains(&option) || verb.get_arg_conflicts_with(option).contains(&other)
    };
    verb.get_arguments().any(|other| typed(other) && (other == option || instead(other)))
}

/// The long name of the option that an error is about.
fn blamed(error: &clap::Error) -> Option<String> {
    let name = match (error.kind(), error.get(ContextKind::InvalidArg)?) {
        (
            ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::ArgumentConflict,
            ContextValue::String(name),
        ) => name,
        _ => return None,
    };
    let name = name.strip_prefix("--")?;
    Some(name.split([' ', '=']).next().unwrap_or(name).to_owned())
}

fn refusal(error: &clap::Error) -> Refusal {
    if let Some(source) = error.source() {
        let words = source.to_string();
        let (reason, remedy) = words.split_once("; ").unwrap_or((&words, "write it as --help says"));
        return Refusal::new(format!("is not valid: {reason}"), remedy);
    }
    match (error.get(ContextKind::InvalidValue), error.get(ContextKind::ValidValue), error.get(ContextKind::PriorArg)) {
        (Some(ContextValue::String(value)), Some(ContextValue::Strings(valid)), _) => {
            Refusal::new(format!("{value:?} is not one of {}", valid.join(", ")), "choose one of them")
        }
        (_, _, Some(ContextValue::String(other))) => {
            Refusal::new(format!("cannot be together with {other}"), "remove one of the two")
        }
        _ => Refusal::new("is not valid", "write it as --help says"),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_examples_of_the_documents_are_in_order() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let examples = [&["outlet"][..], &["inlet"], &["relay"], &["project", "serve"]]
            .map(|verb| (verb, format!("docs/examples/{}.toml", verb[0])));
        // The pod's arguments name the ticket.
        let deployed = [(&["outlet", "--ticket=snowmelt1.x"][..], "deploy/kubernetes/outlet/outlet.toml".to_owned())];
        for (verb, file) in examples.into_iter().chain(deployed) {
            let file = root.join(file);
            let given: Vec<OsString> =
                ["snowmelt"].iter().chain(verb).chain(&["--config"]).map(OsString::from).collect();
            let given: Vec<OsString> = given.into_iter().chain([file.into()]).collect();
            let before = given.len();
            let all = arguments(&Cli::command(), given).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(all.len() > before, "{verb:?}: nothing is read");
            Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{verb:?}: {error}"));
        }
    }

    #[test]
    fn the_configuration_of_a_publisher_is_no_file_of_options() {
        for verb in ["run", "check"] {
            let given: Vec<OsString> = ["snowmelt", verb, "--config", "absent.toml"].map(OsString::from).to_vec();
            assert_eq!(arguments(&Cli::command(), given.clone()).unwrap(), given);
        }
    }
}
