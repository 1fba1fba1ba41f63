//! Application variables: who gives them, and what the templates `{{ name }}` in the manifest become.

use std::collections::{BTreeMap, HashMap};

use crate::manifest::Variable;

/// What is wrong with a variable, in one line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum VariableError {
    /// Nobody gave a required one.
    #[error(
        "the variable {0} needs a value: give it with --variable {0}=… or in the environment as {1}"
    )]
    Missing(String, String),
    /// `--variable` names one that the manifest does not have.
    #[error("--variable {0}: the manifest has no such variable; it has {1}")]
    Unknown(String, String),
    /// A template that can't be read.
    #[error("the template {0:?} is not closed by }}}}")]
    Unclosed(String),
    /// A template that names a variable that is not there.
    #[error("the template {0:?} names the variable {1}, which the manifest does not have")]
    NoSuch(String, String),
}

/// The name by which a variable can be given in the environment, as under Spin.
pub(crate) fn in_environment(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase())
}

/// Which of these names in the environment are of variables that the manifest does not have.
pub(crate) fn unknown(
    declared: &BTreeMap<String, Variable>,
    names: impl Iterator<Item = String>,
) -> Vec<String> {
    let known: Vec<String> = declared.keys().map(|name| in_environment(name)).collect();
    names
        .filter(|name| name.starts_with("SPIN_VARIABLE_") && !known.contains(name))
        .collect()
}

/// The variables of the application with their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, String>,
}

impl Variables {
    /// Finds each variable's value: given on the command line, else in the environment, else the default of the manifest.
    ///
    /// # Errors
    /// A required variable that nobody gave, or a given one that does not exist.
    pub(crate) fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &BTreeMap<String, String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, VariableError> {
        if let Some(unknown) = given.keys().find(|name| !declared.contains_key(*name)) {
            let names: Vec<&str> = declared.keys().map(String::as_str).collect();
            return Err(VariableError::Unknown(unknown.clone(), names.join(", ")));
        }
        let mut values = BTreeMap::new();
        for (name, variable) in declared {
            let in_environment = in_environment(name);
            let value = given
                .get(name)
                .cloned()
                .or_else(|| environment(&in_environment))
                .or_else(|| variable.default.clone())
                .ok_or_else(|| VariableError::Missing(name.clone(), in_environment))?;
            values.insert(name.clone(), value);
        }
        Ok(Self { values })
    }

    /// The value of one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The same variables, one of them with another value. One that the manifest does not have stays unknown.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        if let Some(present) = changed.values.get_mut(name) {
            value.clone_into(present);
        }
        changed
    }

    /// A template with the values in it.
    ///
    /// # Errors
    /// A template that is not closed, or that names an unknown variable.
    pub(crate) fn render(&self, template: &str) -> Result<String, VariableError> {
        let mut rendered = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((literal, expression)) = rest.split_once("{{") {
            let (name, after) = expression
                .split_once("}}")
                .ok_or_else(|| VariableError::Unclosed(template.to_owned()))?;
            let name = name.trim();
            let value = self
                .get(name)
                .ok_or_else(|| VariableError::NoSuch(template.to_owned(), name.to_owned()))?;
            rendered.push_str(literal);
            rendered.push_str(value);
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }

    /// A component's own variables.
    ///
    /// # Errors
    /// As [`Variables::render`].
    pub(crate) fn render_all(
        &self,
        templates: &BTreeMap<String, String>,
    ) -> Result<HashMap<String, String>, VariableError> {
        templates
            .iter()
            .map(|(name, template)| Ok((name.clone(), self.render(template)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, Variable> {
        toml::from_str("a = { default = \"1\" }\nb = { required = true, secret = true }").unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn names_in_the_environment_that_no_variable_has_are_found() {
        let names = ["SPIN_VARIABLE_A", "SPIN_VARIABLE_AA", "PATH"].map(str::to_owned);
        assert_eq!(
            unknown(&declared(), names.into_iter()),
            ["SPIN_VARIABLE_AA"]
        );
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
        let environment = |name: &str| {
            (name == "SPIN_VARIABLE_A" || name == "SPIN_VARIABLE_B").then(|| "env".to_owned())
        };
        let variables =
            Variables::resolve(&declared(), &given(&[("a", "given")]), environment).unwrap();
        assert_eq!(
            (variables.get("a"), variables.get("b")),
            (Some("given"), Some("env"))
        );
        let variables = Variables::resolve(&declared(), &given(&[("b", "x")]), |_| None).unwrap();
        assert_eq!(
            (variables.get("a"), variables.get("b")),
            (Some("1"), Some("x"))
        );
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let error = Variables::resolve(&declared(), &given(&[]), |_| None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--variable b=") && error.contains("SPIN_VARIABLE_B"),
            "{error}"
        );
        let error = Variables::resolve(&declared(), &given(&[("c", "")]), |_| None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--variable c") && error.contains("a, b"),
            "{error}"
        );
    }

    #[test]
    fn templates_take_values_and_nothing_else() {
        let variables =
            Variables::resolve(&declared(), &given(&[("b", "{{ a }}")]), |_| None).unwrap();
        let check = |template: &str, expected: &str| {
            assert_eq!(variables.render(template).unwrap(), expected)
        };
        check("", "");
        check("{{a}}/?lane={{ a }}", "1/?lane=1");
        // A value is never read as a template.
        check("{{ b }}", "{{ a }}");
        assert!(variables.render("{{ a").is_err());
        assert!(variables.render("{{ c }}").is_err());
        assert_eq!(variables.with("a", "2").render("{{ a }}").unwrap(), "2");
    }
}
