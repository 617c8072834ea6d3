//! The latency plot: percentile curves as SVG, each step to the right one more nine. Written here: a few curves need no
//! plotting library. Its colours follow the reader's: light or dark.

use std::fmt::Write as _;
use std::io::{self, Write};

use hdrhistogram::Histogram;

use super::report::human_ns;

/// Writes the percentile curve of `latency_ns` under a title.
///
/// # Errors
/// What `out` says.
pub fn write_svg(latency_ns: &Histogram<u64>, title: &str, out: &mut dyn Write) -> io::Result<()> {
    write_curves(&[Curve { name: String::new(), latency_ns }], title, out)
}

/// One of several curves in a plot.
pub(super) struct Curve<'a> {
    /// What the legend calls it; a curve that is alone has no legend.
    pub name: String,
    pub latency_ns: &'a Histogram<u64>,
}

/// Writes curves under a title, at most as many as there are colours.
pub(super) fn write_curves(curves: &[Curve<'_>], title: &str, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(render(curves, title).as_bytes())
}

/// Where things are, in pixels and in decades.
struct Frame {
    /// Nines on the x axis: 5 reaches to 99.999 %.
    nines: f64,
    /// Decades of nanoseconds on the y axis.
    low: f64,
    high: f64,
    top: f64,
}

impl Frame {
    fn new(curves: &[Curve<'_>]) -> Frame {
        let filled = || curves.iter().map(|curve| curve.latency_ns).filter(|latency| !latency.is_empty());
        let min = filled().map(|latency| latency.min().max(1)).min().unwrap_or(1_000) as f64;
        let max = filled().map(|latency| latency.max().max(1)).max().unwrap_or(1_000_000) as f64;
        let low = min.log10().floor();
        let legend = if curves.len() > 1 { curves.len() as f64 * LEGEND_LINE } else { 0.0 };
        Frame {
            nines: filled().map(nines).fold(2.0, f64::max).ceil(),
            low,
            high: max.log10().ceil().max(low + 1.0),
            top: TOP + legend,
        }
    }

    fn x(&self, quantile: f64) -> f64 {
        let nines = -(1.0 - quantile).max(10f64.powf(-self.nines)).log10();
        LEFT + nines / self.nines * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, nanos: f64) -> f64 {
        let share = (nanos.max(1.0).log10() - self.low) / (self.high - self.low);
        self.bottom() - share * (self.bottom() - self.top)
    }

    fn bottom(&self) -> f64 {
        self.top + PLOT
    }

    fn height(&self) -> f64 {
        self.bottom() + BOTTOM
    }
}

/// How many nines a histogram has something to say of: further to the right there is only its slowest request.
fn nines(latency_ns: &Histogram<u64>) -> f64 {
    (latency_ns.len().max(100) as f64).log10().min(NINES_MAX)
}

fn render(curves: &[Curve<'_>], title: &str) -> String {
    let frame = Frame::new(curves);
    let height = frame.height();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
        title = escape(title)
    );
    text(&mut svg, (LEFT, 34.0), "start", "title", &escape(title));
    match curves {
        [alone] => {
            let requests = grouped(alone.latency_ns.len());
            text(&mut svg, (LEFT, 54.0), "start", "quiet", &format!("{requests} requests"));
        }
        _ => legend(&mut svg, curves),
    }
    grid(&mut svg, &frame);
    for (at, curve) in curves.iter().enumerate().filter(|(_, curve)| !curve.latency_ns.is_empty()) {
        draw(&mut svg, &frame, curve.latency_ns, at, curves.len() == 1);
    }
    if let [alone] = curves
        && !alone.latency_ns.is_empty()
    {
        let max = format!("max {}", human_ns(alone.latency_ns.max()));
        text(&mut svg, (WIDTH - RIGHT, 54.0), "end", "quiet", &max);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A line for each curve: its colour, its name, and what people ask for first.
fn legend(svg: &mut String, curves: &[Curve<'_>]) {
    for (at, curve) in curves.iter().enumerate() {
        let y = 56.0 + at as f64 * LEGEND_LINE;
        writeln!(
            svg,
            "<line class=\"curve c{at}\" x1=\"{LEFT}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            y - 4.0,
            LEFT + SWATCH,
            y - 4.0
        )
        .expect("writing to a string cannot fail");
        text(svg, (LEFT + SWATCH + 8.0, y), "start", "name", &escape(&shortened(&curve.name)));
        let latency = curve.latency_ns;
        let said = match latency.is_empty() {
            true => "no requests".to_owned(),
            false => {
                let at = |quantile| human_ns(latency.value_at_quantile(quantile));
                format!(
                    "{} requests, p50 {}, p99 {}, p99.9 {}, max {}",
                    grouped(latency.len()),
                    at(0.5),
                    at(0.99),
                    at(0.999),
                    human_ns(latency.max())
                )
            }
        };
        text(svg, (WIDTH - RIGHT, y), "end", "quiet", &said);
    }
}

fn grid(svg: &mut String, frame: &Frame) {
    let (right, bottom, top) = (WIDTH - RIGHT, frame.bottom(), frame.top);
    let mut decade = frame.low;
    while decade <= frame.high {
        let y = frame.y(10f64.powf(decade));
        line(svg, (LEFT, y), (right, y), "grid");
        let label = human_ns(10f64.powf(decade) as u64).replace(".00", "").replace(".0", "");
        text(svg, (LEFT - 10.0, y + 4.0), "end", "tick", &label);
        for step in 2..10 {
            let y = frame.y(10f64.powf(decade) * f64::from(step));
            if decade < frame.high {
                line(svg, (LEFT, y), (right, y), "fine");
            }
        }
        decade += 1.0;
    }
    let mut ticks = vec![(0.0, "0 %".to_owned()), (0.5, "50 %".to_owned())];
    for nines in 1..=frame.nines as usize {
        let percent = 100.0 - 10f64.powi(2 - nines as i32);
        let label = format!("{percent:.*} %", nines.saturating_sub(2));
        ticks.push((1.0 - 10f64.powi(-(nines as i32)), label));
    }
    for (quantile, label) in ticks {
        let x = frame.x(quantile);
        line(svg, (x, top), (x, bottom), "grid");
        text(svg, (x, bottom + 20.0), "middle", "tick", &label);
    }
    line(svg, (LEFT, bottom), (right, bottom), "axis");
    line(svg, (LEFT, top), (LEFT, bottom), "axis");
    let below = frame.height() - 14.0;
    text(
        svg,
        ((LEFT + right) / 2.0, below),
        "middle",
        "quiet",
        "percentile of requests, one more nine at each step",
    );
    let middle = (top + bottom) / 2.0;
    writeln!(
        svg,
        "<text class=\"quiet\" text-anchor=\"middle\" transform=\"translate(18 {middle:.1}) rotate(-90)\">\
         latency, logarithmic</text>"
    )
    .expect("writing to a string cannot fail");
}

/// A curve to the last percentile that it has something to say of, and the percentiles that people ask for as dots; one
/// that is alone has the ground below it shaded, and values at its dots.
fn draw(svg: &mut String, frame: &Frame, histogram: &Histogram<u64>, number: usize, alone: bool) {
    let steps = 400;
    let last = nines(histogram);
    let points: Vec<(f64, f64)> = (0..=steps)
        .map(|step| {
            let quantile = 1.0 - 10f64.powf(-last * f64::from(step) / f64::from(steps));
            let value = histogram.value_at_quantile(quantile) as f64;
            (frame.x(quantile), frame.y(value))
        })
        .collect();
    let mut path = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        write!(path, "{command}{x:.1} {y:.1}").expect("writing to a string cannot fail");
    }
    if alone {
        let (bottom, end) = (frame.bottom(), points[points.len() - 1].0);
        svg.push_str(&format!(
            "<path class=\"ground\" d=\"{path}L{end:.1} {bottom:.1}L{LEFT} {bottom:.1}Z\"/>\n"
        ));
    }
    svg.push_str(&format!("<path class=\"curve c{number}\" d=\"{path}\"/>\n"));
    for quantile in [0.5, 0.9, 0.99, 0.999, 0.9999] {
        if quantile > 1.0 - 10f64.powf(-last) {
            continue;
        }
        let value = histogram.value_at_quantile(quantile);
        let (x, y) = (frame.x(quantile), frame.y(value as f64));
        svg.push_str(&format!("<circle class=\"dot c{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n"));
        if alone {
            text(svg, (x, y - 12.0), "middle", "name", &human_ns(value));
        }
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), class: &str) {
    svg.push_str(&format!(
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
        from.0, from.1, to.0, to.1
    ));
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, words: &str) {
    svg.push_str(&format!(
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n"
    ));
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A name that has room beside its numbers. Of a long path the end tells more.
fn shortened(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= NAME_CHARACTERS_MAX {
        return name.to_owned();
    }
    let (head, tail) = (&characters[..3], &characters[characters.len() - (NAME_CHARACTERS_MAX - 4)..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

const WIDTH: f64 = 960.0;
/// Between the axes.
const PLOT: f64 = 348.0;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 56.0;
const LEGEND_LINE: f64 = 20.0;
/// How long a curve's sample in the legend is.
const SWATCH: f64 = 30.0;
const NINES_MAX: f64 = 7.0;
const NAME_CHARACTERS_MAX: usize = 44;

/// The curves differ in hue for most, and in their dashes for all.
const STYLE: &str = "\
text { font-size: 12px }
.paper { fill: #ffffff }
.title { fill: #14213d; font-size: 18px }
.name { fill: #14213d }
.quiet { fill: #5b6472 }
.tick { fill: #4b5563 }
.grid { stroke: #d1d5db }
.fine { stroke: #f0f1f4 }
.axis { stroke: #6b7280; stroke-width: 1.2 }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.dot { fill: #ffffff; stroke-width: 2 }
.ground { fill: #2563eb; fill-opacity: 0.1 }
.c0 { stroke: #2563eb }
.c1 { stroke: #c2410c }
.curve.c1 { stroke-dasharray: 8 4 }
@media (prefers-color-scheme: dark) {
  .paper { fill: #12161d }
  .title, .name { fill: #e8ebf0 }
  .quiet, .tick { fill: #a3adbb }
  .grid { stroke: #333c49 }
  .fine { stroke: #1d232d }
  .axis { stroke: #8b95a3 }
  .dot { fill: #12161d }
  .ground { fill: #60a5fa }
  .c0 { stroke: #60a5fa }
  .c1 { stroke: #fb923c }
}
";

#[cfg(test)]
mod tests {
    use super::super::stats::new_histogram;
    use super::*;

    fn histogram(requests: u64) -> Histogram<u64> {
        let mut histogram = new_histogram();
        (1..=requests).for_each(|n| histogram.record(100_000 + n * n / 500).unwrap());
        histogram
    }

    /// Every number of this attribute.
    fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
        let before = format!("{attribute}=\"");
        let parts = svg.split(&before).skip(1);
        parts.map(|part| part.split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn a_plot_is_whole_and_its_points_lie_inside() {
        for (latency_ns, paths) in [(histogram(50_000), 2), (new_histogram(), 0)] {
            let curves = [Curve { name: String::new(), latency_ns: &latency_ns }];
            let svg = render(&curves, "transfers <1>");
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("&lt;1&gt;"));
            assert_eq!(svg.matches("<path").count(), paths);
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            let frame = Frame::new(&curves);
            for y in numbers(&svg, "cy") {
                assert!((frame.top..=frame.bottom()).contains(&y), "{y}");
            }
        }
    }

    #[test]
    fn two_curves_share_the_axes_and_have_a_legend_and_each_ends_where_its_requests_do() {
        let (many, few) = (histogram(50_000), histogram(200));
        let curves = [("A: a.json", &many), ("B: b & c.json", &few)];
        let svg = render(&curves.map(|(name, latency_ns)| Curve { name: name.into(), latency_ns }), "both");
        assert_eq!(svg.matches("<path class=\"curve").count(), 2);
        assert!(
            svg.contains("A: a.json")
                && svg.contains("B: b &amp; c.json")
                && svg.contains("200 requests, p50")
        );
        let ends: Vec<f64> = svg
            .split("<path class=\"curve")
            .skip(1)
            .map(|path| path.split("\"/>").next().unwrap().rsplit('L').next().unwrap())
            .map(|point| point.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(ends[1] < ends[0] && ends[0] <= WIDTH - RIGHT, "{ends:?}");
        // Of two hundred requests nothing is known of the slowest thousandth.
        assert_eq!(svg.matches("dot c0").count(), 5);
        assert_eq!(svg.matches("dot c1").count(), 3);
    }

    #[test]
    fn a_long_name_keeps_its_letter_and_its_end() {
        let name = format!("A: {}/run.json", "folder/".repeat(20));
        let short = shortened(&name);
        assert!(short.starts_with("A: …") && short.ends_with("/run.json"), "{short}");
        assert_eq!(short.chars().count(), NAME_CHARACTERS_MAX);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
