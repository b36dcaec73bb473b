//! Tokens to log in with: a secret, or a command that prints one.
//!
//! Promises: what a command prints to its standard output is never shown, nor is anything in its error output that
//! looks like a token. A command runs at every login and never when a configuration is only read.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::secret::{LONGEST, Secret, SecretError, SecretSource};

/// How long a command may take. Asking an identity provider takes seconds; one that takes longer waits for a person.
const LIMIT: Duration = Duration::from_secs(60);
/// Letters of a command's error output that an error repeats.
const SHOWN: usize = 200;
/// A word of this many letters in an error output may be a token, and is not shown.
const LONG_WORD: usize = 24;

/// A token, or how to come by one. Call [`Token::read`] at each login.
#[derive(Debug, Clone)]
pub enum Token {
    /// In a file or a variable.
    Secret(Secret),
    /// Printed by a command.
    Command(TokenCommand),
}

/// A program that prints a token.
#[derive(Clone)]
pub struct TokenCommand {
    program: String,
    arguments: Vec<String>,
    folder: PathBuf,
    limit: Duration,
}

impl Token {
    /// The token as it is now.
    ///
    /// # Errors
    /// The file is gone or empty; the command cannot be started, fails, takes more than a minute or prints no token.
    pub async fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Secret(secret) => secret.reread(),
            Self::Command(command) => command.read().await,
        }
    }

    /// Whether the next login may find another token here than the last one did.
    #[must_use]
    pub fn may_change(&self) -> bool {
        match self {
            Self::Secret(secret) => matches!(secret.source(), SecretSource::File(_)),
            Self::Command(_) => true,
        }
    }

    /// Where it comes from, in words, to be read after "the token".
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::Secret(secret) => secret.source().to_string(),
            Self::Command(command) => format!("that {} prints", command.program),
        }
    }
}

impl TokenCommand {
    /// `words` are a program and its arguments, run in `folder`; `None` without a program.
    pub(super) fn new(words: &[String], folder: &Path) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        // A relative program is one beside the configuration, wherever the publisher was started.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let program = match program.contains('/') {
            true => folder.join(program).display().to_string(),
            false => program.clone(),
        };
        Some(Self { program, arguments: arguments.to_vec(), folder, limit: LIMIT })
    }

    async fn read(&self) -> Result<Secret, SecretError> {
        let program = || self.program.clone();
        let (status, out, err) = match tokio::time::timeout(self.limit, self.run()).await {
            Ok(ended) => {
                ended.map_err(|error| SecretError::CommandUnusable { program: program(), reason: error.to_string() })?
            }
            Err(_) => return Err(SecretError::CommandSlow { program: program(), limit: self.limit }),
        };
        let refuse = |reason| Err(SecretError::CommandOutput { program: program(), reason });
        let text = String::from_utf8(out);
        if !status.success() {
            let secret = text.as_deref().unwrap_or_default();
            return Err(SecretError::CommandFailed {
                program: program(),
                status: status.to_string(),
                said: excerpt(&err, secret),
            });
        }
        let Ok(text) = text else { return refuse("it is not UTF-8 text") };
        let token = text.trim();
        if token.is_empty() {
            return refuse("it is empty");
        }
        if token.len() as u64 > LONGEST {
            return refuse("it is longer than 64 KiB");
        }
        if token.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refuse("it is more than one word");
        }
        Ok(Secret::new(token))
    }

    async fn run(&self) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err, status) = tokio::try_join!(whole(out), whole(err), child.wait())?;
        Ok((status, out, err))
    }
}

/// What comes, but not more than a little over the longest secret: the rest is read and forgotten.
async fn whole(from: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(LONGEST + 3).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// The last line of an error output, without what may be secret.
fn excerpt(err: &[u8], secret: &str) -> String {
    let text = String::from_utf8_lossy(err);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let hidden = |word: &str| {
        let given = !secret.trim().is_empty() && secret.split_whitespace().any(|part| word.contains(part));
        if given || word.chars().count() >= LONG_WORD { "***".to_owned() } else { word.to_owned() }
    };
    let words: Vec<String> = last.split_whitespace().map(hidden).collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

impl std::fmt::Debug for TokenCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Arguments may hold what nobody should see.
        write!(f, "TokenCommand({:?} and {} arguments)", self.program, self.arguments.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> Result<String, SecretError> {
        let words = ["sh", "-c", script].map(str::to_owned);
        let mut command = TokenCommand::new(&words, Path::new("")).unwrap();
        command.limit = Duration::from_secs(20);
        Token::Command(command).read().await.map(|token| token.expose().to_owned())
    }

    #[tokio::test]
    async fn a_command_is_asked_each_time_and_its_output_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "echo x >> count; wc -l < count"].map(str::to_owned);
        let token = Token::Command(TokenCommand::new(&words, folder.path()).unwrap());
        for expected in ["1", "2"] {
            assert_eq!(token.read().await.unwrap().expose(), expected);
        }
        assert_eq!(sh("printf '  tok-1\\n\\n'; echo noise >&2").await.unwrap(), "tok-1");
        assert!(token.may_change());
        assert_eq!(format!("{token:?}"), r#"Command(TokenCommand("sh" and 2 arguments))"#);
    }

    #[tokio::test]
    async fn a_program_beside_the_configuration_is_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token.sh");
        std::fs::write(&path, "#!/bin/sh\necho tok-2\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let command = TokenCommand::new(&["./token.sh".to_owned()], folder.path()).unwrap();
        assert_eq!(Token::Command(command).read().await.unwrap().expose(), "tok-2");
    }

    #[tokio::test]
    async fn what_is_no_token_is_refused_and_nothing_secret_is_told() {
        let told = async |script: &str| sh(script).await.unwrap_err().to_string();
        let failed = told(
            "echo eyJhbGciOiJSUzI1NiJ9; echo first >&2; echo 'no login: eyJhbGciOiJSUzI1NiJ9 expired' >&2; exit 3",
        )
        .await;
        assert!(failed.contains("exit status: 3") && failed.contains("no login: *** expired"), "{failed}");
        assert!(!failed.contains("eyJ") && !failed.contains("first"), "{failed}");
        let long = told("echo 'token=0123456789abcdef0123456789abcdef refused' >&2; exit 1").await;
        assert!(long.contains("*** refused") && !long.contains("0123"), "{long}");
        assert!(told("kill -9 $$").await.contains("signal: 9"));
        assert!(told("true").await.contains("it is empty"));
        let json = told(r#"echo '{"accessToken": "abc"}'"#).await;
        assert!(json.contains("more than one word") && !json.contains("abc"), "{json}");
        assert!(told("head -c 200000 /dev/zero | tr '\\0' x").await.contains("longer than 64 KiB"));
        assert!(told("printf '\\377'").await.contains("not UTF-8"));
        let absent = TokenCommand::new(&["no-such-program-here".to_owned()], Path::new("")).unwrap();
        let absent = Token::Command(absent).read().await.unwrap_err().to_string();
        assert!(absent.contains("no-such-program-here cannot be run"), "{absent}");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "echo $$ > pid; exec sleep 600"].map(str::to_owned);
        let mut command = TokenCommand::new(&words, folder.path()).unwrap();
        command.limit = Duration::from_millis(500);
        let error = Token::Command(command).read().await.unwrap_err();
        assert!(matches!(error, SecretError::CommandSlow { .. }), "{error}");
        if let Ok(pid) = std::fs::read_to_string(folder.path().join("pid")) {
            let stat = format!("/proc/{}/stat", pid.trim());
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            // Gone, or ended and not yet waited for.
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                assert!(std::time::Instant::now() < deadline, "the command still runs");
                tokio::task::yield_now().await;
            }
        }
    }
}
