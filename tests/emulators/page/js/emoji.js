// Shortcodes of the common emoji; the others stay as they are written.

const TABLE = `
grinning 😀|smiley 😃|smile 😄|grin 😁|laughing 😆|sweat_smile 😅|joy 😂|rolling_on_the_floor_laughing 🤣|slightly_smiling_face 🙂|upside_down_face 🙃|wink 😉|blush 😊|heart_eyes 😍|kissing_heart 😘|stuck_out_tongue 😛|thinking_face 🤔|neutral_face 😐|expressionless 😑|smirk 😏|unamused 😒|face_with_rolling_eyes 🙄|relieved 😌|sleeping 😴|sunglasses 😎|nerd_face 🤓|confused 😕|worried 😟|open_mouth 😮|flushed 😳|cry 😢|sob 😭|scream 😱|angry 😠|rage 😡|skull 💀|ghost 👻|alien 👽|robot_face 🤖|partying_face 🥳|exploding_head 🤯|shushing_face 🤫|face_palm 🤦|shrug 🤷|saluting_face 🫡
wave 👋|raised_hand ✋|ok_hand 👌|crossed_fingers 🤞|v ✌️|point_left 👈|point_right 👉|point_up ☝️|point_up_2 👆|point_down 👇|+1 👍|thumbsup 👍|-1 👎|thumbsdown 👎|fist ✊|facepunch 👊|clap 👏|raised_hands 🙌|open_hands 👐|pray 🙏|handshake 🤝|muscle 💪|writing_hand ✍️|eyes 👀|brain 🧠|bow 🙇|technologist 🧑‍💻|detective 🕵️
heart ❤️|orange_heart 🧡|yellow_heart 💛|green_heart 💚|blue_heart 💙|purple_heart 💜|black_heart 🖤|broken_heart 💔|sparkling_heart 💖|100 💯|boom 💥|dizzy 💫|sweat_drops 💦|speech_balloon 💬|thought_balloon 💭|zzz 💤
white_check_mark ✅|heavy_check_mark ✔️|ballot_box_with_check ☑️|x ❌|negative_squared_cross_mark ❎|heavy_multiplication_x ✖️|heavy_plus_sign ➕|heavy_minus_sign ➖|question ❓|grey_question ❔|exclamation ❗|grey_exclamation ❕|bangbang ‼️|warning ⚠️|no_entry ⛔|no_entry_sign 🚫|octagonal_sign 🛑|information_source ℹ️|recycle ♻️|arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|arrow_upper_right ↗️|arrows_counterclockwise 🔄|arrow_forward ▶️|double_vertical_bar ⏸️|black_square_for_stop ⏹️|stop_button ⏹️|fast_forward ⏩|rewind ⏪|repeat 🔁|twisted_rightwards_arrows 🔀|new 🆕|ok 🆗|up 🆙|sos 🆘|red_circle 🔴|large_orange_circle 🟠|large_yellow_circle 🟡|large_green_circle 🟢|large_blue_circle 🔵|large_purple_circle 🟣|white_circle ⚪|black_circle ⚫|large_red_square 🟥|large_green_square 🟩|large_yellow_square 🟨|large_blue_square 🟦|white_large_square ⬜|black_large_square ⬛|small_blue_diamond 🔹|small_orange_diamond 🔸|radio_button 🔘|one 1️⃣|two 2️⃣|three 3️⃣|four 4️⃣|five 5️⃣|six 6️⃣|seven 7️⃣|eight 8️⃣|nine 9️⃣|zero 0️⃣|keycap_ten 🔟
rocket 🚀|ship 🚢|boat ⛵|sailboat ⛵|anchor ⚓|ferry ⛴️|speedboat 🚤|airplane ✈️|car 🚗|construction 🚧|rotating_light 🚨|vertical_traffic_light 🚦|checkered_flag 🏁|triangular_flag_on_post 🚩|house 🏠|office 🏢|factory 🏭|tent ⛺
computer 💻|desktop_computer 🖥️|keyboard ⌨️|floppy_disk 💾|cd 💿|iphone 📱|telephone_receiver 📞|battery 🔋|electric_plug 🔌|bulb 💡|flashlight 🔦|mag 🔍|mag_right 🔎|lock 🔒|unlock 🔓|key 🔑|hammer 🔨|wrench 🔧|hammer_and_wrench 🛠️|nut_and_bolt 🔩|gear ⚙️|toolbox 🧰|microscope 🔬|test_tube 🧪|telescope 🔭|satellite 📡|package 📦|inbox_tray 📥|outbox_tray 📤|mailbox 📫|email 📧|envelope ✉️|memo 📝|pencil 📝|pencil2 ✏️|page_facing_up 📄|page_with_curl 📃|clipboard 📋|bookmark 🔖|label 🏷️|link 🔗|paperclip 📎|pushpin 📌|round_pushpin 📍|scissors ✂️|file_folder 📁|open_file_folder 📂|card_index_dividers 🗂️|books 📚|book 📖|notebook 📓|newspaper 📰|chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|bar_chart 📊|calendar 📆|date 📅|spiral_calendar_pad 🗓️|wastebasket 🗑️|bell 🔔|no_bell 🔕|mega 📣|loudspeaker 📢|hourglass ⌛|hourglass_flowing_sand ⏳|stopwatch ⏱️|timer_clock ⏲️|alarm_clock ⏰|clock1 🕐|watch ⌚|bug 🐛|beetle 🪲|ant 🐜|spider 🕷️|snake 🐍|crab 🦀|whale 🐳|whale2 🐋|dolphin 🐬|fish 🐟|octopus 🐙|snail 🐌|turtle 🐢|cat 🐱|dog 🐶|unicorn_face 🦄|elephant 🐘|penguin 🐧|owl 🦉|duck 🦆|lobster 🦞
tada 🎉|confetti_ball 🎊|sparkles ✨|star ⭐|star2 🌟|fire 🔥|zap ⚡|sunny ☀️|cloud ☁️|rainbow 🌈|snowflake ❄️|umbrella ☂️|ocean 🌊|seedling 🌱|evergreen_tree 🌲|four_leaf_clover 🍀|cherry_blossom 🌸|earth_africa 🌍|globe_with_meridians 🌐|gift 🎁|trophy 🏆|medal 🏅|first_place_medal 🥇|dart 🎯|art 🎨|game_die 🎲|jigsaw 🧩|musical_note 🎵|crystal_ball 🔮|magic_wand 🪄|coffee ☕|tea 🍵|beer 🍺|beers 🍻|pizza 🍕|cake 🍰|birthday 🎂|cookie 🍪|apple 🍎|popcorn 🍿|moneybag 💰|credit_card 💳|dollar 💵|shopping_trolley 🛒|crown 👑|gem 💎|shield 🛡️|ring_buoy 🛟|broom 🧹|ladder 🪜|test 🧪|ear 👂|baby 👶|construction_worker 👷|cop 👮|ninja 🥷|runner 🏃|walking 🚶`;

const EMOJI = new Map(
  TABLE.trim()
    .split(/[|\n]/)
    .map((entry) => entry.trim().split(" ")),
);

const TONES = ["", "", "🏻", "🏼", "🏽", "🏾", "🏿"];

/** The character of a shortcode (`wave`, `+1::skin-tone-3`), or none. */
export function emoji(name) {
  const [base, tone] = name.split("::");
  const found = EMOJI.get(base);
  return found && found + (TONES[Number(tone?.replace("skin-tone-", ""))] ?? "");
}

/** Shortcodes that contain the query, those beginning with it first. */
export function searchEmoji(query, most = 10_000) {
  const wanted = query.toLowerCase();
  const hits = [...EMOJI].filter(([name]) => name.includes(wanted));
  return hits.sort(([a], [b]) => Number(b.startsWith(wanted)) - Number(a.startsWith(wanted))).slice(0, most);
}

/** Plain text with its shortcodes turned into characters. */
export const withEmoji = (text) => text.replace(/:([a-z0-9_+'-]+(?:::skin-tone-[2-6])?):/gi, (whole, name) => emoji(name) ?? whole);
