//! What SELinux is told of a container, in Docker's words and in those that engines take.

use super::spec::SeLinuxContext;

impl SeLinuxContext {
    /// As an engine is told: `label=disable`, `label=user:…`.
    pub fn options(&self) -> Vec<String> {
        let words = [
            ("user", &self.user),
            ("role", &self.role),
            ("level", &self.level),
            ("type", &self.kind),
        ];
        let words = words.into_iter().filter(|(_, word)| !word.is_empty());
        let off = self.disable.then(|| "label=disable".to_owned());
        words
            .map(|(name, word)| format!("label={name}:{word}"))
            .chain(off)
            .collect()
    }

    /// The same the other way round; none of options that say nothing of it.
    pub fn of_options(options: &[String]) -> Option<Self> {
        let mut context = Self::default();
        for option in options.iter().filter_map(|option| option.strip_prefix("label=")) {
            match option.split_once(':') {
                None if option == "disable" => context.disable = true,
                Some(("user", word)) => context.user = word.to_owned(),
                Some(("role", word)) => context.role = word.to_owned(),
                Some(("level", word)) => context.level = word.to_owned(),
                Some(("type", word)) => context.kind = word.to_owned(),
                _ => {}
            }
        }
        (context != Self::default()).then_some(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_list_of_options_and_comes_back_from_it() {
        let whole = SeLinuxContext {
            disable: true,
            user: "u".to_owned(),
            role: "r".to_owned(),
            kind: "t".to_owned(),
            level: "s0:c1,c2".to_owned(),
        };
        let options = whole.options();
        assert_eq!(
            options,
            [
                "label=user:u",
                "label=role:r",
                "label=level:s0:c1,c2",
                "label=type:t",
                "label=disable"
            ]
        );
        assert_eq!(SeLinuxContext::of_options(&options), Some(whole));
        for other in ["no-new-privileges", "label=other:x"] {
            assert_eq!(SeLinuxContext::of_options(&[other.to_owned()]), None);
        }
        assert!(SeLinuxContext::default().options().is_empty());
    }
}
