//! The latency plot: a percentile curve as SVG, each step to the right one more nine. Written here: one curve needs no
//! plotting library.

use std::fmt::Write as _;
use std::io::{self, Write};

use hdrhistogram::Histogram;

use super::report::human_ns;

/// Writes the percentile curve of `latency_ns` under a title.
///
/// # Errors
/// What `out` says.
pub fn write_svg(latency_ns: &Histogram<u64>, title: &str, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(render(latency_ns, title).as_bytes())
}

/// Where things are, in pixels and in decades.
struct Frame {
    /// Nines on the x axis: 5 reaches to 99.999 %.
    nines: f64,
    /// Decades of nanoseconds on the y axis.
    low: f64,
    high: f64,
}

impl Frame {
    fn new(histogram: &Histogram<u64>) -> Frame {
        let (min, max) = match histogram.is_empty() {
            true => (1e3, 1e6),
            false => (histogram.min().max(1) as f64, histogram.max().max(1) as f64),
        };
        let low = min.log10().floor();
        Frame {
            nines: (histogram.len().max(100) as f64).log10().ceil().clamp(2.0, 7.0),
            low,
            high: max.log10().ceil().max(low + 1.0),
        }
    }

    fn x(&self, quantile: f64) -> f64 {
        let nines = -(1.0 - quantile).max(10f64.powf(-self.nines)).log10();
        LEFT + nines / self.nines * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, nanos: f64) -> f64 {
        let share = (nanos.max(1.0).log10() - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

fn render(histogram: &Histogram<u64>, title: &str) -> String {
    let frame = Frame::new(histogram);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, LEFT, 34.0, "start", 18, "#14213d", &escape(title));
    let subtitle = format!("{} requests, latency by percentile", grouped(histogram.len()));
    text(&mut svg, LEFT, 54.0, "start", 12, "#6b7280", &subtitle);
    grid(&mut svg, &frame);
    if !histogram.is_empty() {
        curve(&mut svg, &frame, histogram);
        marks(&mut svg, &frame, histogram);
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(svg: &mut String, frame: &Frame) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut decade = frame.low;
    while decade <= frame.high {
        let y = frame.y(10f64.powf(decade));
        line(svg, (LEFT, y), (right, y), "#d1d5db", 1.0);
        let label = human_ns(10f64.powf(decade) as u64).replace(".00", "").replace(".0", "");
        text(svg, LEFT - 10.0, y + 4.0, "end", 12, "#4b5563", &label);
        for step in 2..10 {
            let y = frame.y(10f64.powf(decade) * f64::from(step));
            if decade < frame.high {
                line(svg, (LEFT, y), (right, y), "#f3f4f6", 1.0);
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
        line(svg, (x, TOP), (x, bottom), "#e5e7eb", 1.0);
        text(svg, x, bottom + 20.0, "middle", 12, "#4b5563", &label);
    }
    line(svg, (LEFT, bottom), (right, bottom), "#6b7280", 1.2);
    line(svg, (LEFT, TOP), (LEFT, bottom), "#6b7280", 1.2);
    text(svg, (LEFT + right) / 2.0, HEIGHT - 14.0, "middle", 12, "#6b7280", "percentile");
}

fn curve(svg: &mut String, frame: &Frame, histogram: &Histogram<u64>) {
    let steps = 400;
    let points: Vec<(f64, f64)> = (0..=steps)
        .map(|step| {
            let quantile = 1.0 - 10f64.powf(-frame.nines * f64::from(step) / f64::from(steps));
            let value = histogram.value_at_quantile(quantile) as f64;
            (frame.x(quantile), frame.y(value))
        })
        .collect();
    let mut path = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        write!(path, "{command}{x:.1} {y:.1}").expect("writing to a string cannot fail");
    }
    let bottom = HEIGHT - BOTTOM;
    let last = points[points.len() - 1].0;
    svg.push_str(&format!(
        "<path d=\"{path}L{last:.1} {bottom}L{LEFT} {bottom}Z\" fill=\"#2563eb\" fill-opacity=\"0.10\"/>\n\
         <path d=\"{path}\" fill=\"none\" stroke=\"#2563eb\" stroke-width=\"2.5\" stroke-linejoin=\"round\"/>\n"
    ));
}

/// The percentiles that people ask for, as dots with their values.
fn marks(svg: &mut String, frame: &Frame, histogram: &Histogram<u64>) {
    for quantile in [0.5, 0.9, 0.99, 0.999, 0.9999] {
        if quantile > 1.0 - 10f64.powf(-frame.nines) {
            continue;
        }
        let value = histogram.value_at_quantile(quantile);
        let (x, y) = (frame.x(quantile), frame.y(value as f64));
        svg.push_str(&format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#ffffff\" stroke=\"#2563eb\" stroke-width=\"2\"/>\n"
        ));
        text(svg, x, y - 12.0, "middle", 12, "#14213d", &human_ns(value));
    }
    let max = format!("max {}", human_ns(histogram.max()));
    text(svg, WIDTH - RIGHT, 54.0, "end", 12, "#6b7280", &max);
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
    svg.push_str(&format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\n",
        from.0, from.1, to.0, to.1
    ));
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, colour: &str, words: &str) {
    svg.push_str(&format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{colour}\">{words}</text>\n"
    ));
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 56.0;

#[cfg(test)]
mod tests {
    use super::super::stats::new_histogram;
    use super::*;

    #[test]
    fn a_plot_is_whole_and_its_points_lie_inside() {
        let mut histogram = new_histogram();
        (1..=50_000u64).for_each(|n| histogram.record(100_000 + n * n / 500).unwrap());
        for (histogram, curves) in [(histogram, 2), (new_histogram(), 0)] {
            let svg = render(&histogram, "transfers <1>");
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("&lt;1&gt;"));
            assert_eq!(svg.matches("<path").count(), curves);
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            for part in svg.split("cy=\"").skip(1) {
                let y: f64 = part.split('"').next().unwrap().parse().unwrap();
                assert!((TOP..=HEIGHT - BOTTOM).contains(&y), "{y}");
            }
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
