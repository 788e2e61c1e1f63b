//! The checklist as a badge.

/// An SVG of its own: how many of the questions have a yes.
pub(super) fn svg(yes: usize, no: usize, all: usize) -> String {
    let colour = match (yes == all, no) {
        (true, _) => "#23733f",
        (false, 0) => "#8a6d00",
        (false, _) => "#b3301c",
    };
    let text = format!("{yes} of {all}");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"156\" height=\"20\" role=\"img\" \
         aria-label=\"API checklist: {text}\"><title>API checklist: {text}</title>\
         <rect width=\"102\" height=\"20\" fill=\"#3a3f46\"/><rect x=\"102\" width=\"54\" height=\"20\" \
         fill=\"{colour}\"/><g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\" \
         text-anchor=\"middle\"><text x=\"51\" y=\"14\">API checklist</text><text x=\"129\" y=\"14\">{text}</text></g>\
         </svg>\n"
    )
}
