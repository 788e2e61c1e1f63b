//! Answers, without a call to the API, how secure its description and its dependencies are.
