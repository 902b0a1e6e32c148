// kms_force_connector_basic of igt-gpu-tools: the status of a connector and the modes of its screen, set from outside.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withDisplay } from '../display.test-helper.js';
import { Display } from '../index.js';

const EDID = ['1920x1080@60', '1280x720@50', '640x480@59.94'];
const OTHER = ['1024x768@60', '1280x720@50'];

const names = (display: Display): string[] => display.getConnector().modes.map(({ name }) => name);

test('force-connector-state: on, off and back again, seen by every file of the card', () =>
  withDisplay({}, (display, machine) => {
    const other = Display.open(machine);
    const before = display.getConnector();
    display.setConnectorStatus('disconnected');
    assert.equal([other.getConnector().status, names(other)], ['disconnected', []]);
    display.setConnectorStatus('connected');
    const after = other.getConnector();
    assert.equal([after.status, after.modes], ['connected', before.modes], 'its screen is back');
    assert.is(after.epoch, before.epoch + 2);
  }));

test('force-edid: the modes are those that the screen tells, its preferred one first', () =>
  withDisplay({}, (display) => {
    const before = names(display);
    display.setConnectorStatus('connected', { modes: EDID });
    assert.equal(names(display), EDID);
    display.setConnectorStatus('connected', { modes: before });
    assert.equal(names(display), before);
  }));

test('prune-stale-modes: of another screen no mode of the one before is left', () =>
  withDisplay({}, (display) => {
    display.setConnectorStatus('connected', { modes: EDID });
    display.setConnectorStatus('connected', { modes: OTHER });
    assert.equal(names(display), OTHER);
    display.setConnectorStatus('disconnected');
    display.setConnectorStatus('connected', { modes: ['640x480@59.94'] });
    assert.equal(names(display), ['640x480@59.94']);
  }));

test.run();
