//! The reasons why no bot plays.

/// The reason why a run of bots has no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BotsError {
    /// None of the bots joined the server.
    #[error("none of {count} bots joined: {reason}")]
    NoneJoined {
        /// Number of bots that tried, or would have.
        count: u32,
        /// The reason that most of them got.
        reason: String,
    },
    /// The plugins of the game connect by themselves.
    #[error(
        "the plugins given to `bots` contain ClientWorldPlugin, ClientPlugin or MirrorPlugin: leave them out, `bots` \
         connects each bot"
    )]
    Connects,
}
