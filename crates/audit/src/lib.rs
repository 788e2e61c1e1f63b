//! Answers, without a call to the API, how secure its description and its dependencies are.
//!
//! | module | what it reads |
//! |---|---|
//! | [`contract`] | an OpenAPI or Swagger document |
//! | [`dependencies`] | lock files, SBOMs and advisories |

pub mod contract;
pub mod dependencies;
