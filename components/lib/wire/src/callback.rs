//! The body of a callback.

use serde::Serialize;

use crate::Timestamp;
use crate::message::ErrorView;

/// What a node is told when its message is finished.
#[derive(Debug, Clone, Serialize)]
pub struct CallbackBody<'a> {
    /// The `user_Id` that the node sent.
    pub user_id: Option<&'a str>,
    /// `OK` or `FAILED`.
    pub status: &'static str,
    /// The message.
    pub message_id: i64,
    /// 1 text, 2 HTML, 3 domains.
    #[serde(rename = "type")]
    pub kind: u8,
    /// What was asked for, in normal form: as a URL is written, with its scheme and without a fragment.
    pub request_url: &'a str,
    /// Where the result can be read; absolute when the service knows its address, else a path. Null when it failed.
    pub result_url: Option<String>,
    /// When it was finished.
    pub date_process_complete: Timestamp,
    /// Why it failed.
    pub error: Option<ErrorView<'a>>,
}
