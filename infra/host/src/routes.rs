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
    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| {
            let Some(rest) = path.strip_prefix(route.prefix.as_str()) else {
                return false;
            };
            if route.is_prefix {
                rest.is_empty() || rest.starts_with('/')
            } else {
                rest.trim_end_matches('/').is_empty()
            }
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
        let check = |path: &str, raw: &str| {
            assert_eq!(routes.find(path).unwrap().raw, raw, "{path}");
        };
        check("/", "/...");
        check("/token", "/token");
        check("/token/", "/token");
        check("/tokens", "/...");
        check("/users", "/users");
        check("/users/1", "/users/...");
        check("/usersx", "/...");
        assert_eq!(
            Routes::new([("/a".to_owned(), "a".to_owned())]).find("/b"),
            None
        );
    }
}
