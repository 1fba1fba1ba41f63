//! Which component answers a path.

/// The routes of the manifest, the longest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes(Vec<Route>);

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// As it stands in the manifest.
    pub(crate) raw: String,
    /// Without the `/...` at the end.
    prefix: String,
    is_prefix: bool,
    /// The component that answers.
    pub(crate) component: String,
}

/// A route that fits a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Match<'a> {
    /// The route.
    pub(crate) route: &'a Route,
    /// What of the path the `...` stands for.
    pub(crate) rest: &'a str,
}

impl Routes {
    /// From the routes and components of the manifest.
    pub(crate) fn new(routes: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut routes: Vec<Route> = routes
            .into_iter()
            .map(|(raw, component)| {
                let is_prefix = raw.ends_with("/...");
                let prefix = raw.trim_end_matches("...").trim_end_matches('/').to_owned();
                Route {
                    raw,
                    prefix,
                    is_prefix,
                    component,
                }
            })
            .collect();
        // The longest wins; of two with one length the exact one.
        routes.sort_by(|a, b| {
            b.prefix
                .len()
                .cmp(&a.prefix.len())
                .then(a.is_prefix.cmp(&b.is_prefix))
        });
        Self(routes)
    }

    /// The route for a path. A slash at the end makes no difference, as on Spin.
    pub(crate) fn find<'a>(&'a self, path: &'a str) -> Option<Match<'a>> {
        self.0.iter().find_map(|route| {
            let rest = path.strip_prefix(route.prefix.as_str())?;
            let fits = if route.is_prefix {
                rest.is_empty() || rest.starts_with('/')
            } else {
                rest.trim_end_matches('/').is_empty()
            };
            fits.then_some(Match { route, rest })
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_route_answers() {
        let routes = [
            ("/...", "ingest"),
            ("/users/...", "auth"),
            ("/users", "auth"),
            ("/token", "auth"),
        ];
        let routes =
            Routes::new(routes.map(|(route, component)| (route.to_owned(), component.to_owned())));
        let check = |path: &str, raw: &str, rest: &str| {
            let found = routes.find(path).unwrap();
            assert_eq!(
                (found.route.raw.as_str(), found.rest),
                (raw, rest),
                "{path}"
            );
        };
        check("/", "/...", "/");
        check("/token", "/token", "");
        check("/token/", "/token", "/");
        check("/tokens", "/...", "/tokens");
        check("/users", "/users", "");
        check("/users/1", "/users/...", "/1");
        check("/usersx", "/...", "/usersx");
        assert_eq!(
            Routes::new([("/a".to_owned(), "a".to_owned())]).find("/b"),
            None
        );
    }
}
