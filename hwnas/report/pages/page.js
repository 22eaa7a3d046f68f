"use strict";
// Unpacks plotly.js, which lies in the page compressed, and draws every chart in the page's colours.
(async () => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const places = [...document.querySelectorAll("[data-chart]")];
  const dark = matchMedia("(prefers-color-scheme: dark)");

  async function load() {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  // A string that names a CSS variable is its colour.
  function coloured(value, style) {
    if (typeof value === "string") return value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
    if (Array.isArray(value)) return typeof value[0] === "object" ? value.map((v) => coloured(v, style)) : value;
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, style)]));
    return value;
  }

  function draw() {
    const style = getComputedStyle(document.documentElement);
    for (const place of places) {
      const { data, layout } = coloured(charts[place.dataset.chart], style);
      Plotly.react(place, data, layout, { responsive: true, displayModeBar: false });
    }
  }

  try {
    if (places.length) await load();
    draw();
    dark.addEventListener("change", draw);
    document.documentElement.dataset.charts = "drawn";
  } catch (error) {
    document.documentElement.dataset.charts = "failed";
    for (const place of places) place.textContent = "This browser could not draw the chart (" + error.message + "). The tables say the same.";
  }
})();
