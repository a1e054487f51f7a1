"""What Tama and Sari say to each other: a field crew on two sides of a hill, with one bar of signal."""

from dataclasses import dataclass
from typing import Final

LOBBY: Final = "#lobby"
KITCHEN: Final = "#dapur"
ROOMS: Final = (LOBBY, KITCHEN)
PEOPLE: Final = ("tama", "sari")


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody says something somewhere. The same person never says the same thing twice in a room."""

    author: str
    room: str
    text: str


def conversation(count: int | None = None) -> list[Line]:
    """The first `count` lines, or all of them."""
    lines = []
    for row in _ROWS.strip().splitlines():
        author, room, text = row.split(maxsplit=2)
        lines.append(Line({"T": "tama", "S": "sari"}[author], {"L": LOBBY, "D": KITCHEN}[room], text))
    return lines[:count]


_ROWS: Final = """
T L Halo! Ada orang di sana?
S L Ada! Sari di sini, pos dua. Suaramu sampai :)
T L Sampai? On one bar of signal? I am impressed.
S L The bar comes and goes. Hujan deras dari tadi sore.
T D Kita makan apa malam ini?
S D Depends on what survived the river crossing.
T D Beras aman. Telur... tiga dari selusin.
S D Rest in peace, nine eggs. Nasi goreng, then?
T L Sensor 4 sudah kirim data lagi sejak jam empat.
S L Good. Sensor 7 is still silent.
T L Mungkin baterainya. I can walk over tomorrow at first light.
S L Jangan sendirian. Take Budi with you.
T D Bawang masih ada?
S D Dua siung, and one very sad carrot.
T D A sad carrot is still a carrot.
S D Motivational poster material.
T L Budi bilang dia sanggup kalau sarapannya kopi.
S L Budi always says that.
T L Dan selalu minta dua.
S L Catat: two coffees for Budi, in the official log.
T L The log never forgets, katanya.
S L Water level at the weir: 2.4 metres, naik pelan.
T L Kemarin berapa?
S L 2.1. Kalau lewat 3 kita pindah ke atas.
T D Kecap?
S D Of course. Kecap is the last thing I would drop in a river.
T D I see your priorities.
S D Kecap, lalu laptop, lalu kamu.
T D Third place! Dulu aku nomor lima.
S D You have been carrying the rice.
T L Radio says more rain from the west by nine.
S L Barat lagi. Terpal di pos dua sudah diikat dobel.
T L Generator?
S L Full tank, dan kering. Ada di bawah atap.
T L Good. I will check the antenna before it gets dark.
S L Pakai helm.
T L Siap, bu.
S L I saw that. No helmet last time.
T L That was a hat-shaped helmet.
S L Itu topi, Tama.
T D Wajan besar di siapa?
S D Di kamu! Kamu yang bawa waktu pindahan.
T D Ketemu. It was under the batteries.
S D Why was the wok under the batteries?
T D Good shielding.
S D I will pretend that this is science.
T L Antenna is fine, satu baut longgar.
S L Sudah dikencangkan?
T L Sudah. Tighter than our budget.
S L Ha! Nothing is tighter than our budget.
T L Eh, kamu masih di sana? Kok sepi.
S L Masih. Layarnya bilang server-nya hilang?
T L Sama di sini. Keep typing, it says it keeps everything.
S L Then this is for the record: aku benar soal topi itu.
T D And the rice is on the fire, satu jam lagi matang.
S D Satu jam? For rice?
T D The fire is wet, Sari.
S D Fires are not supposed to be wet.
T L Petir barusan dekat sekali. Three seconds.
S L One kilometre. Jauhi tiang itu, ya.
T L Sudah turun. I like living.
S L We like you living. Third place, tapi tetap.
T L Server is back? My old lines just got their ticks.
S L Mine too, semuanya, in the right order even.
T L Not one lost?
S L Aku hitung nanti. So far, none.
T D Telurnya didadar atau diaduk?
S D Diaduk. It hides the shell.
T D What shell?
S D Exactly.
T L Water now?
S L 2.6. Naik dua puluh senti dalam satu jam.
T L Cepat juga. When do we decide?
S L At 2.8 we pack, at 3 we walk.
T L Setuju. I will tell Budi to keep his boots on.
S L Budi tidur pakai sepatu, no need.
T D Smells good already, cuma asapnya banyak.
S D Buka jendelanya!
T D It is a tent.
S D Buka tendanya!
T L Sensor 7 just woke up by itself.
S L Serius? What does it say?
T L Suhu 19, lembap 100 persen. It is under water, isn't it.
S L It is a very honest sensor.
T L Besok kita selamatkan.
S L Tulis di papan: rescue 7, bring rope.
T L And two coffees.
S L Dua kopi, tentu.
T D Matang! Sisakan piring.
S D Sepuluh menit lagi aku sampai, jangan dihabiskan.
T D No promises. Budi is looking at the pan.
S D Tell Budi the log never forgets.
T D He put down the spoon.
S D Good man. Kerupuk?
T D Basah.
S D Then it is a noodle now. Bawa saja.
T L Menutup radio dulu. Chat stays on?
S L Always on. Itu gunanya.
T L Sampai nanti, pos dua.
S L Sampai nanti. Helmet!
"""
