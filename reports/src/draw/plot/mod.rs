//! Charts: an axis pair and layers on it, drawn by plotters into an SVG that is inlined in a page.
//!
//! Each chart becomes one `<figure>`: caption, legend (in HTML, so that it wraps on a phone), the
//! SVG with a title and a description for those who do not see it, and the plotted numbers as a
//! table behind a fold.

pub(crate) mod axis;

use std::fmt::Write as _;

use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::theme::{DASH_THEORY, Paint, themed};
use crate::draw::table::{Table, escape};
use crate::result::ReportError;
pub(crate) use axis::Axis;

/// Width of every chart in SVG units. Fonts are sized for a page that shows this as 350 to 560
/// CSS pixels.
const WIDTH: u32 = 1000;
const FONT: f64 = 27.0;
/// Plotters draws text at its size divided by this.
const FONT_SCALE: f64 = 1.24;
/// What a narrow page enlarges the text to; room is made for it.
const FONT_NARROW: f64 = 31.0;
/// Width of a character relative to the font size, generously.
const CHARACTER: f64 = 0.6;

/// One chart.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// The caption: what is drawn, with its unit.
    pub title: String,
    /// What the chart shows, in one or two sentences, for those who do not see it.
    pub description: String,
    /// A remark under the caption on how to read it; may be empty.
    pub note: String,
    pub x: Axis,
    pub y: Axis,
    /// What the horizontal axis counts.
    pub x_label: String,
    /// What is drawn, the first lowest.
    pub layers: Vec<Layer>,
    /// The plotted numbers.
    pub table: Option<Table>,
}

/// Something drawn on a chart.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    /// A line through points.
    Line { name: String, points: Vec<(f64, f64)>, paint: Paint, dash: u8 },
    /// An area between two lines: `(x, low, high)`.
    Band { name: String, points: Vec<(f64, f64, f64)>, paint: Paint },
    /// Dots, each with a label that is drawn if there is room.
    Dots { name: String, points: Vec<(f64, f64, String)>, paint: Paint },
    /// Bars from `base`: along `y` over the columns, or along `x` if the `y` axis is rows.
    /// `width` is in columns.
    Bars { name: String, values: Vec<f64>, base: f64, paint: Paint, width: f64 },
    /// A short line across each bar, for what was predicted; `None` leaves it out.
    Ticks { name: String, values: Vec<Option<f64>>, paint: Paint },
    /// A band across each bar.
    BarBands { name: String, bands: Vec<(f64, f64)>, paint: Paint },
    /// A line from edge to edge at one value (vertical if the `y` axis is rows).
    Level { name: String, value: f64, paint: Paint },
    /// Numbered stretches of the horizontal axis.
    Spans { name: String, spans: Vec<Span> },
    /// Cells of a row each: `(row, from, to, shade)` with shade in -1..=1, blue below 0, orange
    /// above, grey where there is none.
    Cells { cells: Vec<(usize, f64, f64, Option<f64>)> },
}

/// A stretch of the horizontal axis.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub from: f64,
    pub to: f64,
    pub label: String,
}

type Area<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

impl Chart {
    /// A chart without layers.
    pub(crate) fn new(title: impl Into<String>, x_label: &str, x: Axis, y: Axis) -> Chart {
        Chart {
            title: title.into(),
            description: String::new(),
            note: String::new(),
            x,
            y,
            x_label: x_label.into(),
            layers: Vec::new(),
            table: None,
        }
    }

    /// The whole figure as HTML. `id` must be unique on the page.
    pub(crate) fn figure(&self, id: &str) -> Result<String, ReportError> {
        let svg = self.svg(id)?;
        let mut html = format!("<figure>\n<figcaption><h3>{}</h3>", escape(&self.title));
        if !self.note.is_empty() {
            let _ = write!(html, "<p>{}</p>", escape(&self.note));
        }
        html.push_str(&self.legend());
        html.push_str("</figcaption>\n");
        html.push_str(&svg);
        if let Some(table) = &self.table {
            let _ = writeln!(html, "<details><summary>Numbers</summary>{}</details>", table.html());
        }
        html.push_str("</figure>\n");
        Ok(html)
    }

    /// The SVG alone, without a size of its own: the style sheet decides.
    pub(crate) fn svg(&self, id: &str) -> Result<String, ReportError> {
        let mut drawn = String::new();
        let height = self.height();
        self.draw(&mut drawn, height).map_err(|error| ReportError::Plot {
            plot: self.title.clone(),
            reason: error.to_string(),
        })?;
        let body_at = drawn.find('>').map_or(drawn.len(), |at| at + 1);
        Ok(format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>{}",
            escape(&self.title),
            escape(&self.description),
            themed(&drawn[body_at..])
        ))
    }

    fn height(&self) -> u32 {
        if self.y.is_rows() {
            let (min, max) = self.y.span();
            let rows = max - min;
            ((rows * 38.0) as u32 + 130).clamp(260, 950)
        } else {
            580
        }
    }

    fn legend(&self) -> String {
        let mut html = String::new();
        for layer in &self.layers {
            let (class, name, paint, dash) = match layer {
                Layer::Line { name, paint, dash, .. } => ("line", name, *paint, *dash),
                Layer::Band { name, paint, .. } | Layer::BarBands { name, paint, .. } => {
                    ("area", name, *paint, 0)
                }
                Layer::Dots { name, paint, .. } => ("dot", name, *paint, 0),
                Layer::Bars { name, paint, .. } => ("bar", name, *paint, 0),
                Layer::Ticks { name, paint, .. } => ("tick", name, *paint, 0),
                Layer::Level { name, paint, .. } => ("line", name, *paint, DASH_THEORY),
                Layer::Spans { name, spans } if !spans.is_empty() => {
                    ("area", name, Paint::Fault, 0)
                }
                Layer::Spans { .. } => continue,
                Layer::Cells { .. } => continue,
            };
            if name.is_empty() {
                continue;
            }
            let _ = write!(
                html,
                "<li class=\"{class} d{dash}\" style=\"--c:var({})\">{}</li>",
                paint.variable(),
                escape(name)
            );
        }
        if html.is_empty() { html } else { format!("<ul class=\"legend\">{html}</ul>") }
    }

    fn draw(&self, buffer: &mut String, height: u32) -> Drawn {
        let root = SVGBackend::with_string(buffer, (WIDTH, height)).into_drawing_area();
        let left = (self.y.label_length() as f64 * FONT_NARROW * CHARACTER) as u32 + 20;
        let marks = self
            .layers
            .iter()
            .any(|layer| matches!(layer, Layer::Spans { spans, .. } if !spans.is_empty()));
        let mut area = ChartBuilder::on(&root)
            .margin_top(if marks { 34 } else { 16 })
            .margin_right(52)
            .set_label_area_size(LabelAreaPosition::Left, left)
            .set_label_area_size(
                LabelAreaPosition::Bottom,
                if self.x_label.is_empty() { 48 } else { 84 },
            )
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let label = |value: &f64, axis: &Axis| {
            plotters::coord::ranged1d::ValueFormatter::format_ext(axis, value)
        };
        let text = ("sans-serif", FONT * FONT_SCALE).into_font().color(&Paint::Muted.rgb());
        let mut mesh = area.configure_mesh();
        if self.y.is_rows() {
            mesh.disable_y_mesh();
        } else {
            mesh.disable_x_mesh();
        }
        if self.layers.iter().any(|layer| matches!(layer, Layer::Cells { .. })) {
            mesh.disable_mesh();
        }
        mesh.max_light_lines(0)
            .bold_line_style(Paint::Grid.rgb().stroke_width(2))
            .axis_style(Paint::Muted.rgb().stroke_width(2))
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_desc(&self.x_label)
            .x_label_formatter(&|value| label(value, &self.x))
            .y_label_formatter(&|value| label(value, &self.y))
            .draw()?;
        // Where no label may go: on the dots of any layer, and on the labels before.
        let mut taken = Vec::new();
        for layer in &self.layers {
            if let Layer::Dots { points, .. } = layer {
                taken.extend(points.iter().map(|p| {
                    let (x, y) = area.backend_coord(&(p.0, p.1));
                    let radius = self.dot_radius();
                    [x - radius, y - radius, x + radius, y + radius]
                }));
            }
        }
        for layer in &self.layers {
            self.layer(&mut area, layer, &mut taken)?;
        }
        root.present()
    }

    fn layer(&self, area: &mut Area, layer: &Layer, taken: &mut Vec<[i32; 4]>) -> Drawn {
        match layer {
            Layer::Line { points, paint, dash, .. } => {
                let style = paint.dashed(*dash).stroke_width(4);
                if let [(x, y)] = points[..] {
                    area.draw_series([Circle::new((x, y), 7, paint.rgb().filled())])?;
                } else {
                    area.draw_series([PathElement::new(points.clone(), style)])?;
                }
            }
            Layer::Band { points, paint, .. } => {
                let there = points.iter().map(|&(x, low, _)| (x, low));
                let back = points.iter().rev().map(|&(x, _, high)| (x, high));
                let outline: Vec<(f64, f64)> = there.chain(back).collect();
                area.draw_series([Polygon::new(outline, paint.rgb().mix(0.22))])?;
            }
            Layer::Dots { points, paint, .. } => self.dots(area, points, *paint, taken)?,
            Layer::Bars { values, base, paint, width, .. } => {
                area.draw_series(values.iter().enumerate().map(|(i, &value)| {
                    let at = i as f64;
                    self.bar(
                        (at - width / 2.0, at + width / 2.0),
                        (*base, value),
                        paint.rgb().filled(),
                    )
                }))?;
            }
            Layer::BarBands { bands, paint, .. } => {
                area.draw_series(bands.iter().enumerate().map(|(i, &band)| {
                    let at = i as f64;
                    self.bar((at - 0.5, at + 0.5), band, paint.rgb().mix(0.25).filled())
                }))?;
            }
            Layer::Ticks { values, paint, .. } => {
                let half = 0.42;
                area.draw_series(values.iter().enumerate().filter_map(|(i, value)| {
                    let (value, at) = ((*value)?, i as f64);
                    let ends = [(at - half, value), (at + half, value)];
                    let ends = ends
                        .map(|(along, v)| if self.y.is_rows() { (v, along) } else { (along, v) });
                    Some(PathElement::new(ends.to_vec(), paint.rgb().stroke_width(5)))
                }))?;
            }
            Layer::Level { value, paint, .. } => {
                let ends = if self.y.is_rows() {
                    let (low, high) = self.y.span();
                    [(*value, low), (*value, high)]
                } else {
                    let (low, high) = self.x.span();
                    [(low, *value), (high, *value)]
                };
                let style = paint.dashed(DASH_THEORY).stroke_width(4);
                area.draw_series([PathElement::new(ends.to_vec(), style)])?;
            }
            Layer::Spans { spans, .. } => self.spans(area, spans)?,
            Layer::Cells { cells } => {
                let visible = cells.iter().filter(|cell| cell.3 != Some(0.0));
                area.draw_series(visible.map(|&(row, from, to, shade)| {
                    let style = match shade {
                        None => Paint::Muted.rgb().mix(0.45),
                        Some(shade) if shade < 0.0 => Paint::Low.rgb().mix(-shade),
                        Some(shade) => Paint::High.rgb().mix(shade),
                    };
                    let (low, high) = (row as f64 - 0.5, row as f64 + 0.5);
                    Rectangle::new([(from, low), (to, high)], style.filled())
                }))?;
            }
        }
        Ok(())
    }

    /// A bar that stands on the columns or lies on the rows.
    fn bar(
        &self,
        across: (f64, f64),
        along: (f64, f64),
        style: ShapeStyle,
    ) -> Rectangle<(f64, f64)> {
        if self.y.is_rows() {
            Rectangle::new([(along.0, across.0), (along.1, across.1)], style)
        } else {
            Rectangle::new([(across.0, along.0), (across.1, along.1)], style)
        }
    }

    fn dot_radius(&self) -> i32 {
        if self.y.is_rows() { 7 } else { 9 }
    }

    /// Dots, and the label of each where it covers neither a dot nor another label.
    fn dots(
        &self,
        area: &mut Area,
        points: &[(f64, f64, String)],
        paint: Paint,
        taken: &mut Vec<[i32; 4]>,
    ) -> Drawn {
        let radius = self.dot_radius();
        let at: Vec<(i32, i32)> = points.iter().map(|p| area.backend_coord(&(p.0, p.1))).collect();
        let (right, bottom) = {
            let pixels = area.plotting_area().get_pixel_range();
            (pixels.0.end, pixels.1.end)
        };
        area.draw_series(
            points.iter().map(|p| Circle::new((p.0, p.1), radius, paint.rgb().filled())),
        )?;
        for (group, text) in grouped(points, &at, radius) {
            let (point, (x, y)) = (&points[group], at[group]);
            let width = (text.chars().count() as f64 * FONT * CHARACTER) as i32;
            let half = (FONT * 0.55) as i32;
            let places = [
                (HPos::Left, radius + 6, 0),
                (HPos::Right, -radius - 6, 0),
                (HPos::Center, 0, -radius - half),
                (HPos::Center, 0, radius + half),
                (HPos::Left, radius, -radius - half),
                (HPos::Left, radius, radius + half),
                (HPos::Right, -radius, -radius - half),
                (HPos::Right, -radius, radius + half),
            ];
            for (anchor, dx, dy) in places {
                let left = match anchor {
                    HPos::Left => x + dx,
                    HPos::Center => x - width / 2,
                    HPos::Right => x + dx - width,
                };
                let frame = [left, y + dy - half, left + width, y + dy + half];
                let outside =
                    frame[0] < 0 || frame[1] < 0 || frame[2] > right + 20 || frame[3] > bottom;
                let covers = |other: &[i32; 4]| {
                    frame[0] < other[2]
                        && other[0] < frame[2]
                        && frame[1] < other[3]
                        && other[1] < frame[3]
                };
                if !outside && !taken.iter().any(covers) {
                    let style = ("sans-serif", FONT * 0.92 * FONT_SCALE).into_font();
                    let style = style.color(&Paint::Ink.rgb()).pos(Pos::new(anchor, VPos::Center));
                    let label =
                        EmptyElement::at((point.0, point.1)) + Text::new(text, (dx, dy), style);
                    area.draw_series([label])?;
                    taken.push(frame);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Shaded stretches, each with its label above the chart unless the label before is in its way.
    fn spans(&self, area: &mut Area, spans: &[Span]) -> Drawn {
        let (low, high) = self.y.span();
        let (left, right) = self.x.span();
        let mut free_from = i32::MIN;
        for span in spans {
            let (from, to) = (span.from.clamp(left, right), span.to.clamp(left, right));
            if !self.y.is_rows() {
                let shade = Paint::Fault.rgb().mix(0.16).filled();
                area.draw_series([Rectangle::new([(from, low), (to, high)], shade)])?;
            }
            for x in [from, to] {
                let line = vec![(x, low), (x, high)];
                area.draw_series([PathElement::new(
                    line,
                    Paint::Fault.rgb().mix(0.8).stroke_width(2),
                )])?;
            }
            let top = if self.y.is_rows() { low } else { high };
            let middle = (from + to) / 2.0;
            let (x, _) = area.backend_coord(&(middle, top));
            let half = (span.label.chars().count() as f64 * FONT * CHARACTER / 2.0) as i32;
            if x - half < free_from {
                continue;
            }
            free_from = x + half + 4;
            let style =
                ("sans-serif", FONT * 0.9 * FONT_SCALE).into_font().color(&Paint::Fault.rgb());
            let style = style.pos(Pos::new(HPos::Center, VPos::Bottom));
            area.draw_series([
                EmptyElement::at((middle, top)) + Text::new(span.label.clone(), (0, -2), style)
            ])?;
        }
        Ok(())
    }
}

/// The labels of dots, those that lie on one another as one: the index of the first, and the names.
fn grouped(points: &[(f64, f64, String)], at: &[(i32, i32)], radius: i32) -> Vec<(usize, String)> {
    let mut groups: Vec<(usize, Vec<&str>)> = Vec::new();
    for (i, point) in points.iter().enumerate().filter(|(_, point)| !point.2.is_empty()) {
        let near = |first: usize| {
            (at[i].0 - at[first].0).abs() <= radius && (at[i].1 - at[first].1).abs() <= radius
        };
        match groups.iter_mut().find(|group| near(group.0)) {
            Some((_, names)) => names.push(&point.2),
            None => groups.push((i, vec![&point.2])),
        }
    }
    let text = |names: Vec<&str>| match names.len() {
        0..=3 => names.join(", "),
        more => format!("{} +{}", names[..2].join(", "), more - 2),
    };
    groups.into_iter().map(|(first, names)| (first, text(names))).collect()
}

/// The mean of at most `most` windows of a series: `(index of the window's middle, mean, largest)`,
/// the index in samples.
pub(crate) fn windows(values: &[f64], most: usize) -> Vec<(f64, f64, f64)> {
    let size = values.len().div_ceil(most.max(1)).max(1);
    let window = |(i, chunk): (usize, &[f64])| {
        let mean = chunk.iter().sum::<f64>() / chunk.len() as f64;
        let largest = chunk.iter().copied().fold(0.0, f64::max);
        ((i * size) as f64 + chunk.len() as f64 / 2.0, mean, largest)
    };
    values.chunks(size).enumerate().map(window).collect()
}

/// At most `most` of the items or one more, evenly chosen, always with the last.
pub(crate) fn thinned<T>(items: &[T], most: usize) -> impl Iterator<Item = &T> {
    let stride = items.len().div_ceil(most.max(1)).max(1);
    let last = items.len().saturating_sub(1);
    let chosen = move |i: &usize| i.is_multiple_of(stride) || *i == last;
    items.iter().enumerate().filter(move |(i, _)| chosen(i)).map(|(_, item)| item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_layer(x: Axis, y: Axis) -> Chart {
        let mut chart = Chart::new("a < b & \"c\"", "x", x, y);
        chart.description = "</desc><script>".into();
        let name = || "<name>".to_owned();
        let paint = Paint::Series(0);
        chart.layers = vec![
            Layer::Line { name: name(), points: vec![(0.0, 0.0), (1.0, 1.0)], paint, dash: 1 },
            Layer::Line { name: name(), points: vec![(0.0, 0.0)], paint, dash: 1 },
            Layer::Line { name: name(), points: vec![], paint, dash: 1 },
            Layer::Band { name: name(), points: vec![(0.0, 0.0, 1.0)], paint },
            Layer::Dots { name: name(), points: vec![(0.5, 0.5, "<dot>".into())], paint },
            Layer::Bars { name: name(), values: vec![1.0, 2.0], base: 0.0, paint, width: 0.8 },
            Layer::Ticks { name: name(), values: vec![Some(1.0), None], paint },
            Layer::BarBands { name: name(), bands: vec![(0.0, 1.0)], paint },
            Layer::Level { name: name(), value: 1.0, paint },
            Layer::Spans {
                name: name(),
                spans: vec![Span { from: 0.2, to: 9.0, label: "<1>".into() }],
            },
            Layer::Cells {
                cells: vec![
                    (0, 0.0, 1.0, Some(-0.5)),
                    (1, 0.0, 0.5, Some(1.0)),
                    (1, 0.5, 1.0, None),
                ],
            },
        ];
        chart
    }

    #[test]
    fn every_layer_draws_on_every_axis_with_its_text_escaped() {
        let axes = [
            (Axis::linear(0.0, 1.0, 5), Axis::linear(0.0, 1.0, 5)),
            (Axis::columns(&["<a>".into(), "b".into()], 40), Axis::linear(0.0, 0.0, 5)),
            (Axis::time(1.0, 5), Axis::rows(&["<a>".into(), "b".into()], 40)),
            (Axis::log(0.1, 1e6, 5), Axis::log(1.0, 1.0, 5)),
        ];
        for (x, y) in axes {
            let html = every_layer(x, y).figure("p1").unwrap();
            for raw in ["<a>", "<1>", "<dot>", "<name>", "<script>", "#5A", "a < b"] {
                assert!(!html.contains(raw), "{raw} in {html}");
            }
            assert!(html.contains("role=\"img\" aria-labelledby=\"p1-t p1-d\""));
            assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        }
    }

    #[test]
    fn labels_of_dots_never_cover_one_another() {
        let mut chart = Chart::new("t", "x", Axis::linear(0.0, 1.0, 5), Axis::linear(0.0, 1.0, 5));
        let crowd = (0..50).map(|i| (0.5, 0.5, format!("label{i}"))).collect();
        chart.layers = vec![Layer::Dots { name: String::new(), points: crowd, paint: Paint::Ink }];
        let svg = chart.svg("p").unwrap();
        assert!(svg.contains("label0, label1 +48"), "{svg}");
        let apart = |i: usize| (0.5 + i as f64 * 0.012, 0.5, format!("label{i}"));
        chart.layers = vec![Layer::Dots {
            name: String::new(),
            points: (0..30).map(apart).collect(),
            paint: Paint::Ink,
        }];
        assert!((2..25).contains(&chart.svg("p").unwrap().matches("label").count()));
    }

    #[test]
    fn windows_cover_every_sample_once() {
        assert_eq!(windows(&[1.0, 3.0, 5.0], 2), [(1.0, 2.0, 3.0), (2.5, 5.0, 5.0)]);
        assert_eq!(windows(&[], 2), []);
        assert_eq!(windows(&[4.0], 300), [(0.5, 4.0, 4.0)]);
    }

    #[test]
    fn thinning_keeps_the_ends() {
        let items: Vec<usize> = (0..1000).collect();
        let kept: Vec<usize> = thinned(&items, 10).copied().collect();
        assert_eq!((kept.len(), kept[0], kept[kept.len() - 1]), (11, 0, 999));
        assert_eq!(thinned(&items[..3], 10).count(), 3);
        assert_eq!(thinned::<u8>(&[], 10).count(), 0);
    }
}
