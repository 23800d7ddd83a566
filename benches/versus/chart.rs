//! The chart: CPU time divided by the relay's, a group of bars per job.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// One bar of each proxy.
pub(crate) struct Group {
    pub(crate) job: &'static str,
    /// In the order of the proxies; `None`: not measured.
    pub(crate) ratios: Vec<Option<f64>>,
}

/// Longer bars are cut off here, which a gap near their end shows; their number is written all the same.
const LONGEST: f64 = 6.0;

const BAR: i32 = 14;
const WIDTH: i32 = 900;
/// Room for the names of the jobs, the numbers behind the bars, and the title with the legend.
const LEFT: i32 = 190;
const RIGHT: i32 = 60;
const TOP: i32 = 56;

const COLOURS: [RGBColor; 6] = [
    RGBColor(0x1b, 0x9e, 0x77),
    RGBColor(0x75, 0x70, 0xb3),
    RGBColor(0xd9, 0x5f, 0x02),
    RGBColor(0xe7, 0x29, 0x8a),
    RGBColor(0x66, 0xa6, 0x1e),
    RGBColor(0xa6, 0x76, 0x1d),
];

/// Draws the groups, the proxies of each by name.
pub(crate) fn draw(path: &Path, proxies: &[&str], groups: &[Group]) -> Result<(), Box<dyn Error>> {
    let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    let group_height = BAR * (count(proxies.len()) + 1);
    let height = TOP + group_height * count(groups.len()) + 2 * BAR;
    let area = SVGBackend::new(path, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
    area.fill(&WHITE)?;
    let font = |size: i32| ("sans-serif", size).into_font().color(&BLACK);
    area.draw_text(
        "CPU time of the proxy per request, divided by that of a relay that knows no HTTP (less is better)",
        &font(16),
        (10, 8),
    )?;
    let mut x = 10;
    for (name, colour) in proxies.iter().zip(COLOURS) {
        area.draw(&Rectangle::new([(x, 34), (x + 10, 44)], colour.filled()))?;
        area.draw_text(name, &font(13), (x + 15, 33))?;
        x += 35 + 8 * count(name.len());
    }
    let scale = f64::from(WIDTH - LEFT - RIGHT) / LONGEST;
    let at = |ratio: f64| LEFT + round(ratio.min(LONGEST) * scale);
    for (index, group) in groups.iter().enumerate() {
        let top = TOP + group_height * count(index);
        area.draw_text(group.job, &font(13), (10, top + (group_height - BAR) / 2 - 7))?;
        for (row, (ratio, colour)) in group.ratios.iter().zip(COLOURS).enumerate() {
            let Some(ratio) = *ratio else { continue };
            let y = top + BAR * count(row);
            area.draw(&Rectangle::new([(LEFT, y), (at(ratio), y + BAR - 2)], colour.filled()))?;
            if ratio > LONGEST {
                let gap = at(ratio) - 2 * BAR;
                let corners = [(gap, y + BAR), (gap + 6, y - 2), (gap + 12, y - 2), (gap + 6, y + BAR)];
                area.draw(&Polygon::new(corners, WHITE))?;
            }
            area.draw_text(&format!("{ratio:.2}"), &font(12), (at(ratio) + 4, y))?;
        }
    }
    let floor = [(at(1.0), TOP - 4), (at(1.0), height - BAR)];
    area.draw(&PathElement::new(floor.to_vec(), BLACK.stroke_width(1)))?;
    area.draw_text("the relay", &font(12), (at(1.0) + 4, height - BAR))?;
    area.present()?;
    Ok(())
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a pixel of a picture")]
fn round(pixels: f64) -> i32 {
    pixels.round() as i32
}
