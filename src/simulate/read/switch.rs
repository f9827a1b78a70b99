//! The configuration of a switch: lines in sections by their indentation, and what runs after a
//! start.

/// A command that the configuration runs after each start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct OnBoot {
    pub(in super::super) command: String,
    pub(in super::super) delay: u64,
}

/// How a section that runs a command is written.
pub(in super::super) struct Words<'a> {
    pub(in super::super) section: &'a str,
    pub(in super::super) trigger: &'a str,
    pub(in super::super) action: &'a str,
    pub(in super::super) delay: &'a str,
    /// Each action is what stands in quotes.
    pub(in super::super) quoted: bool,
}

/// Every line that is no comment, by its section: `interface X/ip address Y`.
pub(in super::super) fn lines(text: &str) -> Vec<String> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let plain = line.trim();
        if plain.is_empty() || plain.starts_with('!') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            found.push(format!("{section}/{plain}"));
        } else {
            plain.clone_into(&mut section);
            found.push(section.clone());
        }
    }
    found
}

/// What the configuration runs after a start.
pub(in super::super) fn on_boot(text: &str, words: &Words<'_>) -> Vec<OnBoot> {
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with(words.section) {
            continue;
        }
        let mut command = String::new();
        let mut delay = 0;
        let mut triggered = words.trigger.is_empty();
        while let Some(inner) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
            let inner = inner.trim();
            if !words.trigger.is_empty() && inner.starts_with(words.trigger) {
                triggered = true;
            }
            if words.quoted && inner.starts_with(words.action) {
                command.push_str(inner.split('"').nth(1).unwrap_or_default());
                command.push('\n');
            } else if let Some(own) = inner.strip_prefix(words.action) {
                own.trim().clone_into(&mut command);
                // Without a command on its line it is a text up to EOF.
                if command.is_empty() {
                    for more in lines.by_ref().take_while(|line| line.trim() != "EOF") {
                        command.push_str(more);
                        command.push('\n');
                    }
                }
            } else if let Some(seconds) = inner.strip_prefix(words.delay)
                && !words.delay.is_empty()
            {
                delay = seconds.trim().parse().unwrap_or(0);
            }
        }
        if triggered && !command.is_empty() {
            found.push(OnBoot { command, delay });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_commands_are_read() {
        let text = "! x\nhostname s1\ninterface Vlan1\n   ip address dhcp\n!\nevent-handler a\n   \
                    trigger on-boot\n   action bash curl -fsS x\n   delay 60\n!\nevent-handler b\n   \
                    trigger on-logging\n   action bash nothing\nevent-handler c\n   trigger on-boot\n   \
                    action bash\n   one\n   two\n   EOF\nend\n";
        assert_eq!(
            lines(text).get(..3).unwrap(),
            [
                "hostname s1",
                "interface Vlan1",
                "interface Vlan1/ip address dhcp"
            ]
        );
        let words = Words {
            section: "event-handler ",
            trigger: "trigger on-boot",
            action: "action bash",
            delay: "delay ",
            quoted: false,
        };
        let found = on_boot(text, &words);
        let commands: Vec<&str> = found.iter().map(|one| one.command.trim()).collect();
        assert_eq!(commands, ["curl -fsS x", "one\n   two"]);
        assert_eq!(found[0].delay, 60);

        let applet = "event manager applet a\n event timer countdown time 60\n action 1.0 cli \
                      command \"enable\"\n action 2.0 cli command \"copy x null:\"\n!\n";
        let words = Words {
            section: "event manager applet ",
            trigger: "event timer countdown",
            action: "action ",
            delay: "event timer countdown time ",
            quoted: true,
        };
        let expect = OnBoot {
            command: "enable\ncopy x null:\n".to_owned(),
            delay: 60,
        };
        assert_eq!(on_boot(applet, &words), [expect]);
    }
}
