// The charts' theme: the colours come from the style sheet, which knows dark from
// light.

export const theme = () => {
  const style = getComputedStyle(document.documentElement);
  const colour = (role) => style.getPropertyValue('--' + role).trim();
  const axis = {
    axisLine: { lineStyle: { color: colour('line') } },
    axisTick: { lineStyle: { color: colour('line') } },
    axisLabel: { color: colour('muted') },
    nameTextStyle: { color: colour('muted') },
  };
  return {
    // The forecast's own, then what it is held against.
    color: ['forecast', 'up', 'down', 'muted'].map(colour),
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    // Left to itself, ECharts moves the edges of a grid to make room for its
    // labels, and one crosshair would stand at two places.
    grid: { outerBoundsMode: 'none' },
    categoryAxis: { ...axis, splitLine: { show: false } },
    valueAxis: { ...axis, splitLine: { lineStyle: { color: colour('line') } } },
    axisPointer: {
      lineStyle: { color: colour('muted'), type: 'dashed' },
      label: { color: colour('surface'), backgroundColor: colour('muted') },
    },
    candlestick: {
      itemStyle: {
        // A rising candle is hollow.
        color: colour('surface'), borderColor: colour('up'),
        color0: colour('down'), borderColor0: colour('down'),
        borderColorDoji: colour('up'),
      },
    },
    boxplot: {
      // In view of a whole month the forecast's slot is narrower than a
      // pixel: the box may be wider than its slot and reach over the edge.
      boxWidth: [9, 32], clip: false, z: 3,
      itemStyle: { color: colour('forecast-fill'), borderColor: colour('forecast'), borderWidth: 1.5 },
    },
    bar: { itemStyle: { color: colour('volume') } },
    // Below the low that it marks, not on it.
    line: { symbol: 'circle', symbolSize: 5 },
    tooltip: { backgroundColor: colour('surface'), borderColor: colour('line'), textStyle: { color: colour('ink') } },
    legend: { textStyle: { color: colour('ink') } },
    scatter: { z: 4, symbolOffset: [0, 7], itemStyle: { color: colour('ink') } },
    dataZoom: {
      borderColor: colour('line'),
      fillerColor: colour('selection'),
      textStyle: { color: colour('muted') },
      dataBackground: {
        lineStyle: { color: colour('volume') }, areaStyle: { color: colour('volume'), opacity: 0.3 },
      },
      selectedDataBackground: {
        lineStyle: { color: colour('up') }, areaStyle: { color: colour('up'), opacity: 0.2 },
      },
      handleStyle: { color: colour('surface'), borderColor: colour('muted') },
      moveHandleStyle: { color: colour('muted') },
      brushSelect: false,
    },
  };
};
