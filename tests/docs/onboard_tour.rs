//! The integrator's guide, by its own lines, and what it prints; the Korean one
//! has the very same lines. Only the port and the folders differ.

use super::read;
use super::tour::{assert_printed, blocks, free_port, run};

const GUIDES: [&str; 2] = ["docs/onboard.md", "docs/onboard.ko.md"];

#[test]
fn the_guide_to_a_live_pipe_runs_as_written_and_prints_what_it_shows() {
    let [guide, korean] = GUIDES.map(read);
    for language in ["sh", "text"] {
        assert_eq!(blocks(&guide, language), blocks(&korean, language));
    }
    let script = blocks(&guide, "sh").concat().replace("8097", &free_port());
    let said = run(&script, &[]);
    assert_printed(&guide, &said, &[]);
}
