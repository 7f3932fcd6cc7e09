#!/bin/sh
# Makes slimmer/reports/page/echarts.js anew: the part of Apache ECharts that the HTML report draws its treemap with, in one file.
# Needs npm; what it installs is gone afterwards. The versions are fixed, so the same bytes come out; a test knows their hash.
set -eu
echarts=6.1.0 esbuild=0.28.2
page=$(cd "$(dirname "$0")/../slimmer/reports/page" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' >package.json
npm install --ignore-scripts --no-audit --no-fund --silent "echarts@$echarts" "esbuild@$esbuild"
cat >entry.js <<'END'
import { init, use } from "echarts/core";
import { TreemapChart } from "echarts/charts";
import { TooltipComponent } from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";
use([TreemapChart, TooltipComponent, CanvasRenderer]);
export { init };
END
node_modules/.bin/esbuild entry.js --bundle --minify --charset=utf8 --format=iife --global-name=echarts --legal-comments=none \
    --outfile=echarts.js --log-level=warning
cp echarts.js "$page/echarts.js"
{
    printf 'echarts.js is made of parts of these packages, by tools/echarts.sh: echarts %s, zrender, tslib.\n\n' "$echarts"
    for file in echarts/NOTICE echarts/LICENSE echarts/licenses/LICENSE-d3 zrender/LICENSE tslib/LICENSE.txt; do
        printf '\n======== %s ========\n\n' "$file"
        cat "node_modules/$file"
    done
} >"$page/echarts-LICENSES.txt"
sha256sum "$page/echarts.js"
